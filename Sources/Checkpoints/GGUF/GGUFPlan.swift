internal import GGUF
internal import JSON

/// What a GGUF file of a checkpoint holds: keys, tensors and their types.
struct GGUFPlan {
    /// What a tensor of the file is made from.
    struct Item {
        /// The tensor of the source; nil for one that is computed.
        let info: TensorInfo?
        /// Rows within which rows change places; nil when they stay.
        let headSize: Int?
        /// The tensor, when it is computed.
        let numbers: [Float]
    }

    let items: [Item]
    let layout: GGUFLayout
    let summary: ExportPlan
    private let path: String

    init(_ source: some CheckpointView, path: String, recipe: GGUFRecipe) throws(CheckpointError) {
        let model = try GGUFModel(source)
        let tied = try model.isTied(source)
        var items: [Item] = []
        var tensors: [GGUFLayout.Tensor] = []
        var substitutions: [ExportPlan.Substitution] = []
        for (name, info, layer) in try model.tensors(source, tied: tied) {
            let isHead = name == "output.weight" || tied && name == "token_embd.weight"
            let (wanted, used) = recipe.type(of: name, shape: info.shape, isHead: isHead, layer: layer ?? 0, of: model.layers)
            if wanted != used {
                substitutions.append(
                    .init(
                        tensor: name, wanted: wanted.name, used: used.name,
                        reason: "rows of \(info.rowLength) do not divide into blocks of \(wanted.blockWeights)"))
            }
            // A vector is one row of a GGUF file.
            tensors.append(GGUFLayout.Tensor(name: name, type: used, shape: info.shape))
            items.append(Item(info: info, headSize: model.family.reorders(info.name) ? model.headSize : nil, numbers: []))
        }
        if let factors = model.ropeFactors {
            tensors.append(GGUFLayout.Tensor(name: GGUFRope.tensorName, type: .f32, shape: [factors.count]))
            items.append(Item(info: nil, headSize: nil, numbers: factors))
        }
        let tokenizer = try GGUFTokenizerKeys(source, vocabularySize: model.vocabularySize)
        var keys = model.keys
        keys.append(("general.file_type", .uint32(recipe.fileType)))
        if tensors.contains(where: { $0.type.blockWeights > 1 }) { keys.append(("general.quantization_version", .uint32(2))) }
        do {
            layout = try GGUFLayout(keys: keys + tokenizer.keys, tensors: tensors, path: path)
        } catch {
            throw CheckpointError(error)
        }
        self.items = items
        self.path = path
        let file = ExportPlan.File(
            name: path.split(separator: "/").last.map(String.init) ?? path, byteCount: layout.fileSize,
            tensors: tensors.map { .init(name: $0.name, shape: $0.shape, storage: $0.type.name, byteCount: $0.byteCount) })
        summary = ExportPlan(
            files: [file], otherBytes: 0, isBound: false, substitutions: substitutions,
            notes: model.notes + ["tokenizer: \(tokenizer.splitting)\(tied ? "; the head is the embedding" : "")"])
    }

    /// Throws when a tensor would not have the type that was asked for.
    func refuseSubstitutions() throws(CheckpointError) {
        guard let first = summary.substitutions.first else { return }
        let kinds = Set(summary.substitutions.map { "\($0.wanted) as \($0.used)" }).sorted().joined(separator: ", ")
        throw CheckpointError(
            path: path,
            message:
                "\(summary.substitutions.count) tensors cannot have the type asked for (\(kinds)), such as \(first.tensor): \(first.reason); accept this with "
                + "--allow-fallback (of convert), or choose a type with blocks of 32 (q8_0, q5_0, q5_1, q4_0, q4_1, iq4_nl)")
    }
}
