import ArgumentParser

@main
struct GRPOCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "grpo-cli", abstract: "GRPO fine-tuning on the CPU.")
}
