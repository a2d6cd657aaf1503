import CKernels

/// What the forward pass multiplies.
public enum ComputeType: String, Sendable, CaseIterable {
    /// Weights and products in FP32, through OpenBLAS: the reference.
    case float32
    /// BF16 weights and matrix inputs; FP32 sums, residual stream, norms and softmax. Log-probabilities do not depend on the batch.
    case bfloat16

    var kernel: ck_type { self == .float32 ? CK_F32 : CK_BF16 }

    /// Bytes of one matrix input.
    var byteCount: Int { self == .float32 ? 4 : 2 }
}
