// swift-tools-version: 6.2
import PackageDescription

/// What scripts/fuzz-formats runs: a program that reads mutated checkpoints.
let package = Package(
    name: "format_fuzzer",
    dependencies: [.package(name: "grpo-cli", path: "../../..")],
    targets: [
        .executableTarget(name: "format_fuzzer", dependencies: [.product(name: "Checkpoints", package: "grpo-cli")])
    ],
    swiftLanguageModes: [.v6]
)
