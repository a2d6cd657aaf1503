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
    /// Replaces every weight by what `read` fills in: a slice of rows of the named weight, FP32 and row-major.
    public func replaceWeights(_ read: (_ name: String, _ rows: Range<Int>, _ numbers: UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
        for parameter in parameters {
            let slice = parameter.sliceRows
            let numbers = AlignedBuffer(floats: slice * parameter.rowLength)
            for first in stride(from: 0, to: parameter.rowCount, by: slice) {
                let rows = first..<min(first + slice, parameter.rowCount)
                try read(parameter.name, rows, .init(start: numbers.floats, count: rows.count * parameter.rowLength))
                parameter.write(numbers.floats, rows: rows)
            }
            parameter.publishMaster()
        }
    }
}

extension Parameter {
    fileprivate func mix(_ other: Parameter, share: Float) {
        let slice = sliceRows
        let (own, theirs) = (AlignedBuffer(floats: slice * rowLength), AlignedBuffer(floats: slice * rowLength))
        for first in stride(from: 0, to: rowCount, by: slice) {
            let rows = first..<min(first + slice, rowCount)
            read(rows: rows, into: own.floats)
            other.read(rows: rows, into: theirs.floats)
            for i in 0..<rows.count * rowLength { own.floats[i] = own.floats[i] * (1 - share) + theirs.floats[i] * share }
            write(own.floats, rows: rows)
        }
        publishMaster()
    }

    /// Replaces whole panels of rows by FP32 numbers, row-major, rounded where there is no master.
    fileprivate func write(_ numbers: UnsafePointer<Float>, rows: Range<Int>) {
        let count = rows.count * rowLength
        if let master {
            ck_master_write(master, numbers, rows.lowerBound, rows.count)
        } else if let packed {
            let halves = AlignedBuffer(bf16: count)
            ck_f32_to_bf16(halves.bf16, numbers, count)
            ck_pack_rows(packed.bf16, halves.bf16, rows.lowerBound, rows.count, rowLength)
        } else if let values {
            let out = values.floats + rows.lowerBound * rowLength
            if type == .float32 { out.update(from: numbers, count: count) } else { ck_round_to_bf16(out, numbers, count) }
        }
    }
}
