// swift-tools-version: 6.2
import PackageDescription

/// What scripts/fuzz-tokenizer runs: a program that loads and uses mutated tokenizers.
let package = Package(
    name: "tokenizer_fuzzer",
    dependencies: [.package(name: "grpo-cli", path: "../../..")],
    targets: [
        .executableTarget(
            name: "tokenizer_fuzzer",
            dependencies: [.product(name: "Tokenizer", package: "grpo-cli"), .product(name: "JSON", package: "grpo-cli")])
    ],
    swiftLanguageModes: [.v6]
)
