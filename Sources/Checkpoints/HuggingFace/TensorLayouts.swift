internal import SafeTensors

/// The tensors of one safetensors file: as they are, packed, or differences from a base.
struct TensorLayouts {
    let packed: PackedLayout?
    let delta: DeltaLayout?
    let tensors: [(info: TensorInfo, reader: any TensorReader)]

    /// `base`, if given, stands for the one that a delta names.
    init(of file: SafeTensorsFile, base: Checkpoint?, allowingDelta: Bool) throws(CheckpointError) {
        let packed = try PackedLayout(metadataOf: file)
        // Asked before its base is opened, which might be the delta itself.
        guard allowingDelta || !DeltaLayout.isDelta(file) else {
            throw CheckpointError(path: file.path, message: "this is a delta itself; restore it first: grpo-cli convert DELTA OUT --to safetensors")
        }
        let delta = try DeltaLayout(metadataOf: file, base: base)
        var tensors: [(info: TensorInfo, reader: any TensorReader)] = []
        for tensor in file.tensors {
            if let entry = delta?.entry(of: tensor.name), let delta {
                let info = entry.info(storage: "delta \(entry.type.rawValue)")
                tensors.append((info, try DeltaReader(of: tensor, in: file, info: info, base: delta.base)))
            } else if let entry = packed?.entry(of: tensor.name) {
                let info = entry.info(storage: "packed \(entry.type.rawValue)")
                tensors.append((info, try PackedReader(of: tensor, in: file, info: info)))
            } else {
                let info = TensorInfo(
                    name: tensor.name, shape: tensor.shape, storage: tensor.type.rawValue,
                    type: ElementType(safeTensorsName: tensor.type.rawValue), storedType: tensor.type)
                tensors.append((info, PlainTensor(file: file, tensor: tensor)))
            }
        }
        self.packed = packed
        self.delta = delta
        self.tensors = tensors
    }
}
