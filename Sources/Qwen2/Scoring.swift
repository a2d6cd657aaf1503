import CKernels

extension Qwen2Model {
    /// Log-probabilities and entropies of the groups' completion tokens, without keeping what a backward pass would need.
    public func score(_ groups: [TokenGroup], temperature: Float = 1) -> TokenStatistics {
        let packed = PackedGroups(groups)
        return statistics(of: packed, normed: outputs(of: packed), temperature: temperature)
    }

    /// The final norm of every row, a matrix input.
    func outputs(of packed: PackedGroups) -> UnsafeMutableRawPointer {
        let rows = packed.rows
        let hidden = configuration.hiddenSize
        let x = workspace.residual.floats(count: rows.count * hidden)
        forward(rows, x: x)
        let normed = workspace.normed.raw(byteCount: rows.count * hidden * computeType.byteCount)
        normalize(x, by: norm, rows: rows.count, into: normed)
        return normed
    }
}

extension Qwen2Model {
    /// The logits of every position of one sequence, [ids][vocabulary] FP32: for looking at a model, not for long texts.
    public func logits(of ids: [Int32]) -> [Float] {
        let packed = PackedGroups([TokenGroup(prompt: ids, completions: [])])
        let normed = outputs(of: packed)
        let count = ids.count * configuration.vocabularySize
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let out = buffer.baseAddress { linear.forward([(head, nil, out)], normed, rows: ids.count) }
            initialized = count
        }
    }
}
