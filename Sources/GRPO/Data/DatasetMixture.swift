internal import JSON

/// Several datasets as one (`datasets`), as TRL's get_dataset mixes them.
public struct DatasetMixture: Sendable {
    /// One of them, a part of TRL's DatasetConfig.
    struct Part: Sendable {
        /// A file of rows or a directory; with `files` only the kind of file, such as `json`.
        var path: String
        /// A folder of the directory.
        var name: String?
        /// Another one, below `path`.
        var folder: String?
        var files: [String] = []
        var split = "train"
        /// The columns that are kept; nil is all.
        var columns: [String]?
        /// Its share of the rows, beside those of the others; nil takes all rows.
        var fraction: Double?
    }

    let parts: [Part]

    /// No datasets.
    public init() { parts = [] }

    private init(_ parts: [Part]) { self.parts = parts }

    /// Rows of each part: the first ones, as many as make the largest mixture with these shares that repeats no row; all of them without shares.
    static func counts(_ rows: [Int], fractions: [Double?]) -> [Int] {
        let shares = fractions.compactMap { $0 }
        guard shares.count == rows.count, !shares.isEmpty else { return rows }
        let sum = shares.reduce(0, +)
        let total = zip(rows, shares).filter { $1 > 0 }.map { Double($0) / ($1 / sum) }.min() ?? 0
        // Python rounds halves to the even number.
        return zip(rows, shares).map { min($0, Int(($1 / sum * total).rounded(.toNearestOrEven))) }
    }

    /// The rows of every part, one part after the other.
    func rows(_ configuration: GRPOConfiguration) throws -> [PromptDataset.Row] {
        let datasets = try parts.map { part in
            var rows: [PromptDataset.Row] = []
            let paths = part.files.isEmpty ? [part.folder.map { "\(part.path)/\($0)" } ?? part.path] : part.files
            for path in paths {
                rows += try PromptDataset(
                    path: path, promptColumn: configuration.promptColumn, systemPrompt: configuration.systemPrompt, name: part.name, split: part.split
                ).rows
            }
            guard let columns = part.columns else { return rows }
            for index in rows.indices { rows[index].columns.members.removeAll { !columns.contains($0.key) } }
            return rows
        }
        let counts = Self.counts(datasets.map(\.count), fractions: parts.map(\.fraction))
        return zip(datasets, counts).flatMap { $0.prefix($1) }
    }
}

extension DatasetMixture: ConfigurationValue {
    static var expected: String {
        "a list of mappings with path, and name, data_dir, data_files, split, columns or fraction (of all of them or of none)"
    }

    init?(raw: RawValue) {
        if raw.isNull {
            self.init()
            return
        }
        let mappings: [[(key: String, value: RawValue)]]
        switch raw {
        case .mappings(let items): mappings = items
        case .list(let items) where items.isEmpty: mappings = []
        case .scalar(let text, _):
            // As the command line has it.
            guard text.hasPrefix("["), case .mappings(let items)? = RawValue(flow: text) else { return nil }
            mappings = items
        default: return nil
        }
        var parts: [Part] = []
        for mapping in mappings {
            guard let part = Part(mapping) else { return nil }
            parts.append(part)
        }
        let shares = parts.compactMap(\.fraction)
        guard shares.isEmpty || shares.count == parts.count && shares.reduce(0, +) > 0 else { return nil }
        self.init(parts)
    }

    var yaml: String { "[" + parts.map(\.yaml).joined(separator: ", ") + "]" }
}

extension DatasetMixture.Part {
    fileprivate init?(_ mapping: [(key: String, value: RawValue)]) {
        self.init(path: "")
        for (key, value) in mapping where !value.isNull {
            let text = String(raw: value)
            switch key {
            case "path": path = text ?? ""
            case "name": name = text
            case "data_dir": folder = text
            case "split": split = text ?? ""
            case "data_files":
                guard let list = [String](raw: value) else { return nil }
                files = list
                continue
            case "columns":
                guard let list = [String](raw: value) else { return nil }
                columns = list
                continue
            case "fraction":
                guard let share = Double(raw: value), share >= 0 else { return nil }
                fraction = share
                continue
            default: return nil
            }
            guard let text, !text.isEmpty else { return nil }
        }
        guard !path.isEmpty else { return nil }
    }

    fileprivate var yaml: String {
        var members = ["path: \(path.yaml)"]
        if let name { members.append("name: \(name.yaml)") }
        if let folder { members.append("data_dir: \(folder.yaml)") }
        if !files.isEmpty { members.append("data_files: \(files.yaml)") }
        if split != "train" { members.append("split: \(split.yaml)") }
        if let columns { members.append("columns: \(columns.yaml)") }
        if let fraction { members.append("fraction: \(fraction.yaml)") }
        return "{" + members.joined(separator: ", ") + "}"
    }
}
