internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The local copy of a Hugging Face dataset: files named after their split, as the hub has them (`data/train-00000-of-00002.parquet`,
/// `train.jsonl`, `train/*.csv`), or what `save_to_disk` writes.
enum DatasetDirectory {
    /// Whether there is a directory of this name.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The files of a split, in order.
    /// - Parameter configuration: the folder of one of several datasets in it (`dataset_config`).
    static func files(_ path: String, configuration: String?, split: String) throws(FileError) -> [String] {
        let root = configuration.map { "\(path)/\($0)" } ?? path
        guard exists(root) else { throw FileError(path: root, message: "there is no such directory (dataset_config)") }
        for folder in ["\(root)/\(split)", root] where WholeFile.exists("\(folder)/state.json") {
            return try data(in: folder).filter { $0.hasSuffix(".arrow") }.map { "\(folder)/\($0)" }
        }
        var found: [String] = []
        for folder in [root, "\(root)/data"] where exists(folder) {
            let all = try data(in: folder)
            let named = all.filter { words($0).contains(split) }
            if !named.isEmpty { return named.map { "\(folder)/\($0)" } }
            if exists("\(folder)/\(split)") { return try data(in: "\(folder)/\(split)").map { "\(folder)/\(split)/\($0)" } }
            // Files that belong to no split are the training data.
            let plain = all.filter { words($0).isDisjoint(with: ["train", "test", "validation", "valid", "dev", "eval"]) }
            if split == "train", !plain.isEmpty { return plain.map { "\(folder)/\($0)" } }
            found += all
        }
        let names = found.isEmpty ? "no file of rows" : found.prefix(8).joined(separator: ", ")
        throw FileError(path: root, message: "has no split \"\(split)\", found \(names); dataset_train_split and dataset_test_split name the splits")
    }

    private static func words(_ name: String) -> Set<String> { Set(name.lowercased().split { "-._ ".contains($0) }.map(String.init)) }

    /// The files of rows in a directory, sorted.
    private static func data(in folder: String) throws(FileError) -> [String] {
        let about = ["state.json", "dataset_info.json", "dataset_dict.json", "dataset_infos.json"]
        return try WholeDirectory.names(in: folder).filter { name in
            DatasetFile.endings.contains(DatasetFile.ending(name)) && !about.contains(name) && !name.hasPrefix(".")
        }.sorted()
    }
}
