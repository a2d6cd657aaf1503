// swift-tools-version: 6.2
import PackageDescription

/// The laboratory: kernels of the C core by shape, beside what the machine can do.
let package = Package(
    name: "Benchmarks",
    dependencies: [.package(name: "grpo-cli", path: "..")],
    targets: [
        .executableTarget(name: "KernelBenchmarks", dependencies: [.product(name: "CKernels", package: "grpo-cli")])
    ],
    swiftLanguageModes: [.v6]
)
