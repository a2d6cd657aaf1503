import CKernels

/// What the forward pass multiplies. Log-probabilities do not depend on the batch in any of them.
public enum ComputeType: String, Sendable, CaseIterable {
    /// Weights and products in FP32: the reference. Gradients go through OpenBLAS.
    case float32
    /// BF16 weights and matrix inputs; FP32 sums, residual stream, norms and softmax.
    case bfloat16
    /// As bfloat16, with matrices of 8-bit weights in blocks of 32, and their inputs rounded to 8 bits too. For generation and scoring.
    case int8
    /// As int8, with 4-bit weights; the embedding and the head keep 8 bits.
    case int4

    /// The matrices' inputs, keys and values.
    var kernel: ck_type { self == .float32 ? CK_F32 : CK_BF16 }

    /// Bytes of one matrix input.
    var byteCount: Int { self == .float32 ? 4 : 2 }

    /// Whether matrices are held as quantised blocks.
    var isQuantized: Bool { self == .int8 || self == .int4 }

    /// Whether a model that computes so can be trained: quantised weights have no gradient.
    public var isTrainable: Bool { !isQuantized }
}
