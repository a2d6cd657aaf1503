/// The directory of a run: its configuration, and the logs that grow in it.
struct RunDirectory: ~Copyable {
    let path: String
    let metrics: MetricsLog
    let completions: CompletionsLog

    /// Makes `output_dir` and writes `config.yaml`; one that already holds a run is refused.
    init(_ configuration: GRPOConfiguration) throws {
        let path = try Self.prepare(configuration)
        let completions = try CompletionsLog(directory: "\(path)/completions")
        let metrics = try MetricsLog(path: "\(path)/metrics.jsonl")
        self.path = path
        self.completions = completions
        self.metrics = metrics
    }

    /// The path of `output_dir`, if a run may begin there.
    static func check(_ configuration: GRPOConfiguration) throws -> String {
        guard let path = configuration.outputDirectory else {
            throw ConfigurationError(message: "output_dir is missing: say where the run's files go")
        }
        guard !WholeFile.exists("\(path)/metrics.jsonl") else {
            throw FileError(path: path, message: "already holds a run (metrics.jsonl): choose another output_dir or remove it")
        }
        return path
    }

    private static func prepare(_ configuration: GRPOConfiguration) throws -> String {
        let path = try check(configuration)
        try WholeFile.makeDirectories(path)
        try WholeFile.write(Array(configuration.resolvedYAML.utf8), to: "\(path)/config.yaml")
        return path
    }
}
