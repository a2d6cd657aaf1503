import CKernels

extension Qwen2Model {
    /// Moves every weight towards that of another model of the same shape: self = (1 - share) self + share other, rounded to the compute type.
    ///
    /// This is how a reference model follows the policy (`sync_ref_model`); the other model's FP32 masters are read where it has them.
    public func mix(_ other: Qwen2Model, share: Float) {
        precondition(other.parameters.count == parameters.count, "models of one shape are mixed")
        for (own, theirs) in zip(parameters, other.parameters) {
            precondition(own.name == theirs.name && own.shape == theirs.shape && own.quantized == nil, "models of one shape are mixed")
            own.mix(theirs, share: share)
        }
    }
}

extension Qwen2Model {
    /// Replaces every weight, of the adapter if there is one, by what `read` fills in: a slice of rows of the named weight, FP32 and row-major.
    public func replaceWeights(_ read: (_ name: String, _ rows: Range<Int>, _ numbers: UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
        for parameter in adapter?.parameters ?? parameters {
            let slices = parameter.slices
            let numbers = AlignedBuffer(floats: (slices.first?.count ?? 0) * parameter.rowLength)
            for rows in slices {
                try read(parameter.name, rows, .init(start: numbers.floats, count: rows.count * parameter.rowLength))
                parameter.write(numbers.floats, rows: rows)
            }
            parameter.publishMaster()
        }
    }
}

extension Parameter {
    fileprivate func mix(_ other: Parameter, share: Float) {
        let slices = slices
        let count = (slices.first?.count ?? 0) * rowLength
        let (own, theirs) = (AlignedBuffer(floats: count), AlignedBuffer(floats: count))
        for rows in slices {
            read(rows: rows, into: own.floats)
            other.read(rows: rows, into: theirs.floats)
            for i in 0..<rows.count * rowLength { own.floats[i] = own.floats[i] * (1 - share) + theirs.floats[i] * share }
            write(own.floats, rows: rows)
        }
        publishMaster()
    }
}
