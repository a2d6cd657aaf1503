package import Checkpoints
internal import Qwen2

/// What the key `export` asks for: the trained model in other formats, under `output_dir/exports`, with a trained adapter merged into its model.
package struct TrainedExports {
    private let directory: String
    private let configuration: GRPOConfiguration
    private let base: Checkpoint
    /// What is written and where.
    private let wanted: [(request: ExportRequest, path: String)]

    /// Nil when nothing is asked for.
    package init?(_ configuration: GRPOConfiguration) throws {
        guard !configuration.exports.isEmpty, let directory = configuration.outputDirectory, let model = configuration.model else { return nil }
        let base = try Checkpoint(opening: LoRAAdapter.isAdapter(model) ? LoRAAdapter(opening: model).basePath : model)
        wanted = try configuration.exportRequests().map { request in
            var request = request
            request.base = base
            // A trained model is saved in one type; what an adapter is merged into keeps its own.
            if configuration.lora == nil { request.type = configuration.dtype == .float32 ? .float32 : .bfloat16 }
            let name = request.format == .gguf ? "model-\(request.recipe.name).gguf" : request.format.rawValue
            return (request, "\(directory)/exports/\(name)")
        }
        (self.configuration, self.directory, self.base) = (configuration, directory, base)
    }

    /// What will be written, found before training with the model as it is, whose names and shapes training keeps.
    /// - Throws: `CheckpointError` for what cannot be written: a substitution of types, a base that cannot be one.
    package func plans() throws -> [(path: String, plan: ExportPlan)] {
        try wanted.map { request, path in
            let export = try request.export(base, to: path)
            try export.check(overwrite: true)
            return (path, export.plan)
        }
    }

    /// Writes the model that `output_dir` now holds. Those of an earlier run there are replaced.
    /// - Parameter progress: told what is done of each, of how much.
    func write(progress: (_ path: String, _ done: Int, _ total: Int) -> Void) throws {
        try WholeFile.makeDirectories("\(directory)/exports")
        for (request, path) in wanted {
            let trained: any CheckpointView =
                configuration.lora == nil ? try Checkpoint(opening: directory) : try MergedCheckpoint(base, adapter: directory)
            try request.export(trained, to: path).write(overwrite: true) { progress(path, $0, $1) }
        }
    }
}

extension GRPOConfiguration {
    /// What `export` names.
    func exportRequests() throws(ConfigurationError) -> [ExportRequest] {
        var requests: [ExportRequest] = []
        for name in exports {
            guard let request = ExportRequest(named: name) else {
                throw ConfigurationError(message: "export: found '\(name)', expected \(ExportRequest.expected)")
            }
            guard !requests.contains(where: { $0.format == request.format && $0.recipe.name == request.recipe.name }) else {
                throw ConfigurationError(message: "export: '\(name)' is there twice")
            }
            requests.append(request)
        }
        return requests
    }
}
