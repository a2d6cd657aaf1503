/// Where a run goes on (`resume_from_checkpoint`).
public enum ResumePoint: Sendable, Equatable {
    /// Nowhere: it begins.
    case none
    /// At the last checkpoint in `output_dir`; where there is none, it begins.
    case latest
    /// At this checkpoint.
    case path(String)
}

extension ResumePoint: ConfigurationValue {
    static var expected: String { "true for the last checkpoint in output_dir, the path of one, or null" }

    init?(raw: RawValue) {
        if raw.isNull {
            self = .none
        } else if let truth = Bool(raw: raw) {
            self = truth ? .latest : .none
        } else if case .scalar(let text, _) = raw, !text.isEmpty {
            self = .path(text)
        } else {
            return nil
        }
    }

    var yaml: String {
        switch self {
        case .none: "null"
        case .latest: "true"
        case .path(let path): path.yaml
        }
    }
}

extension GRPOConfiguration {
    /// The checkpoint that `resume_from_checkpoint` means; nil when the run begins.
    /// - Throws: a `FileError` for a path that is no checkpoint of a run.
    public func checkpointToResume() throws(FileError) -> String? {
        switch resumePoint {
        case .none: return nil
        case .latest:
            guard let directory = outputDirectory, WholeFile.exists(directory) else { return nil }
            return try CheckpointName.all(in: directory).last { WholeFile.exists("\(directory)/\($0)/\(TrainerState.fileName)") }.map {
                "\(directory)/\($0)"
            }
        case .path(let path):
            guard WholeFile.exists("\(path)/\(TrainerState.fileName)") else {
                throw FileError(
                    path: path, message: "has no \(TrainerState.fileName), expected a checkpoint-N of a run (written without save_only_model)")
            }
            return path
        }
    }
}
