import CKernels
import COpenBLAS
import Testing

@testable import Qwen2

/// No kernels of 2004 where this CPU has AVX2, whatever OpenBLAS knows of it and whichever of our own sets was chosen when it was first asked.
@Test func openBLASSuitsThisCPU() {
    OpenBLAS.suitsThisCPU
    #expect(ck_widest_isa() == CK_ISA_SCALAR || String(cString: openblas_get_corename()) != "Prescott")
}
