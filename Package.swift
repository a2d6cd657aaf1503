// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: warnings are errors, imports say what they expose.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// The C core: clean under the strictest warnings, compiled for the baseline; wider instructions are chosen at run time.
let strictC: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .enableWarning("conversion"), .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "grpo-cli",
    products: [
        .executable(name: "grpo-cli", targets: ["grpo-cli"]),
        .library(name: "CKernels", targets: ["CKernels"]),
        .library(name: "JSON", targets: ["JSON"]),
        .library(name: "SafeTensors", targets: ["SafeTensors"]),
        .library(name: "GGUF", targets: ["GGUF"]),
        .library(name: "Tokenizer", targets: ["Tokenizer"]),
        .library(name: "Jinja", targets: ["Jinja"]),
        .library(name: "ChatTemplate", targets: ["ChatTemplate"]),
        .library(name: "Checkpoints", targets: ["Checkpoints"]),
        .library(name: "Qwen2", targets: ["Qwen2"]),
        .library(name: "GRPO", targets: ["GRPO"]),
    ],
    dependencies: [
        // Commands, flags and their help: Apple's own, Apache-2.0, no dependencies.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // The ecosystem's logging API: Apache-2.0, lets a library user keep their own backend.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // TRL's configuration files are YAML: MIT, libyaml underneath, maintained since 2016.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // 0. System libraries.
        // Gradients in float32: the standard BLAS of Linux distributions, BSD.
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
        .systemLibrary(name: "CJSONC", pkgConfig: "json-c", providers: [.apt(["libjson-c-dev"]), .brew(["json-c"])]),
        // Expressions in a tokenizer.json that have no scanner here: fast (a just-in-time compiler), with limits for untrusted ones. BSD.
        .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"]), .brew(["pcre2"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),

        // 1. The C core and JSON.
        .target(name: "CKernels", cSettings: strictC, linkerSettings: [.linkedLibrary("m")]),
        library("JSON", ["CJSONC"]),

        // 2. Formats, each useful alone, none knows another.
        library("SafeTensors", ["JSON"]),
        library("GGUF", ["CKernels"]),
        library("Tokenizer", ["JSON", "CPCRE2"]),
        library("Jinja", ["JSON"]),
        library("ChatTemplate", ["Jinja", "JSON"]),

        // 3. Any source, one view, any sink.
        library("Checkpoints", ["JSON", "SafeTensors", "GGUF", "CKernels", "CZstd"]),

        // 4. The model.
        library("Qwen2", ["Checkpoints", "JSON", "CKernels", "COpenBLAS"]),

        // 5. The method.
        library(
            "GRPO",
            [
                "Qwen2", "Checkpoints", "SafeTensors", "Tokenizer", "ChatTemplate", "JSON", "CKernels",
                .product(name: "Yams", package: "Yams"), .product(name: "Logging", package: "swift-log"),
            ]),

        // 6. The command line.
        .executableTarget(
            name: "grpo-cli",
            dependencies: [
                "GRPO", "Qwen2", "Checkpoints", "Tokenizer", "ChatTemplate", "JSON", "SafeTensors", "GGUF",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        tests("JSON", ["JSON"]),
        tests("SafeTensors", ["SafeTensors", "JSON"]),
        tests("GGUF", ["GGUF", "CKernels"], resources: [.copy("Goldens")]),
        tests("Tokenizer", ["Tokenizer", "JSON"], resources: [.copy("Goldens")]),
        tests("Jinja", ["Jinja", "JSON"], resources: [.copy("Goldens")]),
        tests("ChatTemplate", ["ChatTemplate", "JSON"]),
        tests("Checkpoints", ["Checkpoints", "SafeTensors", "GGUF", "JSON", "CKernels"]),
        tests("CKernels", ["CKernels"]),
        tests("Qwen2", ["Qwen2", "CKernels", "COpenBLAS", "Checkpoints", "SafeTensors", "JSON"], resources: [.copy("Goldens")]),
        tests("GRPO", ["GRPO", "Qwen2", "CKernels", "Checkpoints", "Tokenizer", "SafeTensors", "JSON"], resources: [.copy("Goldens")]),
        tests("grpo-cli", ["JSON", "SafeTensors"]),
    ],
    swiftLanguageModes: [.v6]
)
