// swift-tools-version: 6.2
import PackageDescription

/// What scripts/fuzz runs: libFuzzer around everything that reads files.
let package = Package(
    name: "fuzzer",
    dependencies: [.package(name: "grpo-cli", path: "../..")],
    targets: [
        .systemLibrary(name: "CLibFuzzer"),
        .executableTarget(
            name: "fuzzer",
            dependencies: [
                "CLibFuzzer", .product(name: "Checkpoints", package: "grpo-cli"), .product(name: "GGUF", package: "grpo-cli"),
                .product(name: "SafeTensors", package: "grpo-cli"), .product(name: "Tokenizer", package: "grpo-cli"),
                .product(name: "JSON", package: "grpo-cli"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
