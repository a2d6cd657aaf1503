// swift-tools-version: 6.2
import PackageDescription

/// What template_parity.py compares: a program that renders one template a line.
let package = Package(
    name: "template_renderer",
    dependencies: [.package(name: "grpo-cli", path: "../../..")],
    targets: [
        .executableTarget(
            name: "template_renderer",
            dependencies: [
                .product(name: "ChatTemplate", package: "grpo-cli"), .product(name: "Jinja", package: "grpo-cli"),
                .product(name: "JSON", package: "grpo-cli"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
