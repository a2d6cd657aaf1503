/// The directory of a run: its configuration, and the logs that grow in it.
struct RunDirectory: ~Copyable {
    let path: String
    let metrics: MetricsLog
    let completions: CompletionsLog

    /// Makes `output_dir` and writes `config.yaml`; one that already holds a run is refused, unless the run goes on there `after` a step.
    init(_ configuration: GRPOConfiguration, after step: Int) throws {
        let path = try Self.check(configuration)
        try WholeFile.makeDirectories(path)
        try WholeFile.write(Array(configuration.resolvedYAML.utf8), to: "\(path)/config.yaml")
        let completions = try CompletionsLog(directory: "\(path)/completions")
        let metrics = try step == 0 ? MetricsLog(path: "\(path)/metrics.jsonl") : MetricsLog(path: "\(path)/metrics.jsonl", throughStep: step)
        self.path = path
        self.completions = completions
        self.metrics = metrics
    }

    /// The path of `output_dir`, if a run may begin or go on there.
    static func check(_ configuration: GRPOConfiguration) throws -> String {
        guard let path = configuration.outputDirectory else {
            throw ConfigurationError(message: "output_dir is missing: say where the run's files go")
        }
        guard configuration.resumePoint != .none || !WholeFile.exists("\(path)/metrics.jsonl") else {
            throw FileError(
                path: path,
                message: "already holds a run (metrics.jsonl): go on with --resume_from_checkpoint true, choose another output_dir, or remove it")
        }
        return path
    }
}
