import CKernels
import COpenBLAS
import Foundation

/// Which of its kernels OpenBLAS takes.
enum OpenBLAS {
    /// OpenBLAS up to 0.3.24 (Debian 12 has 0.3.21) takes an Intel processor that it does not know for a Prescott of 2004, which had neither AVX nor
    /// FMA. It is made to choose once more then, and told what to choose. A user's `OPENBLAS_CORETYPE` stays.
    static let suitsThisCPU: Void = {
        let variable = "OPENBLAS_CORETYPE"
        guard String(cString: openblas_get_corename()) == "Prescott", getenv(variable) == nil, ck_widest_isa() != CK_ISA_SCALAR else { return }
        // What its constructor and destructor call: in the library, but in no header, and not in a build for one kind of CPU.
        guard let quit = dlsym(nil, "gotoblas_dynamic_quit"), let choose = dlsym(nil, "gotoblas_dynamic_init") else { return }
        setenv(variable, ck_isa().rawValue <= CK_ISA_AVX2.rawValue ? "Haswell" : "SkylakeX", 1)
        for step in [quit, choose] { unsafeBitCast(step, to: (@convention(c) () -> Void).self)() }
        unsetenv(variable)
    }()
}
