internal import GGUF

/// Which type each tensor of a GGUF file gets: one type, or one of llama.cpp's mixes, which give tensors that matter more a finer one.
public struct GGUFRecipe: Sendable {
    /// As users write it: `q8_0`, `q4_k_m`.
    public let name: String
    /// llama.cpp's number of the mix, `general.file_type`.
    let fileType: UInt32
    private let type: GGMLType
    private let mix: Mix

    private enum Mix { case plain, small, medium }

    private static let all = [
        GGUFRecipe("f32", 0, .f32), GGUFRecipe("f16", 1, .f16), bf16, GGUFRecipe("q8_0", 7, .q8_0),
        GGUFRecipe("q6_k", 18, .q6_K), GGUFRecipe("q5_k_m", 17, .q5_K, .medium), GGUFRecipe("q5_k_s", 16, .q5_K, .small),
        GGUFRecipe("q4_k_m", 15, .q4_K, .medium), GGUFRecipe("q4_k_s", 14, .q4_K, .small), GGUFRecipe("q5_0", 8, .q5_0),
        GGUFRecipe("q5_1", 9, .q5_1), GGUFRecipe("q4_0", 2, .q4_0), GGUFRecipe("q4_1", 3, .q4_1), GGUFRecipe("iq4_nl", 25, .iq4_NL, .small),
    ]

    /// What a GGUF file holds unless said otherwise.
    public static let bf16 = GGUFRecipe("bf16", 32, .bf16)

    /// Every name.
    public static var names: [String] { all.map(\.name) }

    private init(_ name: String, _ fileType: UInt32, _ type: GGMLType, _ mix: Mix = .plain) {
        (self.name, self.fileType, self.type, self.mix) = (name, fileType, type, mix)
    }

    /// The recipe of that name, in letters of either case; nil if there is none.
    public init?(_ name: String) {
        guard let found = Self.all.first(where: { $0.name == name.lowercased() }) else { return nil }
        self = found
    }

    /// The type of a tensor (by its GGUF name), and the one the recipe would give it if its rows divided into blocks.
    ///
    /// - Parameters:
    ///   - isHead: whether it is the output head, or the embedding that stands for it.
    ///   - layer: its layer, of how many.
    func type(of name: String, shape: [Int], isHead: Bool, layer: Int, of layers: Int) -> (wanted: GGMLType, used: GGMLType) {
        // Norms and biases take nothing, and every bit of them counts.
        guard shape.count == 2, let row = shape.last else { return (.f32, .f32) }
        if type.blockWeights == 1 { return (type, type) }
        if isHead, type != .q8_0 {
            // In llama.cpp this is the mix itself, not a substitution: the head in Q6_K, or in Q8_0 where its rows are too short for that.
            return row % GGMLType.q6_K.blockWeights == 0 ? (.q6_K, .q6_K) : row % 32 == 0 ? (.q8_0, .q8_0) : (.q8_0, .f16)
        }
        let wanted = wanted(name, layer, layers)
        if row % wanted.blockWeights == 0 { return (wanted, wanted) }
        let smaller: GGMLType =
            switch wanted {
            case .q4_K: .q5_0
            case .q5_K: .q5_1
            case .q6_K: .q8_0
            default: .f16
            }
        return (wanted, row % smaller.blockWeights == 0 ? smaller : .f16)
    }

    /// llama.cpp's rules for the mixes of a dense model.
    private func wanted(_ name: String, _ layer: Int, _ layers: Int) -> GGMLType {
        let isValue = name.hasSuffix("attn_v.weight"), isDown = name.hasSuffix("ffn_down.weight")
        // The first and last eighth of the layers and every third between them.
        let matters = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
        switch (mix, type) {
        case (.medium, _) where (isValue || isDown) && matters: return .q6_K
        case (.small, .q4_K) where isValue && layer < 4 || isDown && layer < layers / 8: return .q5_K
        case (.small, .iq4_NL) where isDown && layer < layers / 8: return .q5_K
        default: return type
        }
    }
}
