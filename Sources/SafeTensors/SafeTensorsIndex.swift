internal import JSON

/// `model.safetensors.index.json`: which file holds which tensor of a checkpoint in several files.
public struct SafeTensorsIndex: Sendable {
    /// The index file, as the caller named it.
    public let path: String
    /// The files it names, sorted; each a plain name in the index's own directory.
    public let shards: [String]
    /// The bytes of all tensors, as `metadata.total_size` says; nil when it does not say. Nobody needs it, and some programs write it wrongly.
    public let totalSize: Int?
    private let weightMap: [(key: String, shard: String)]

    /// Reads an index of at most 10 MiB. Every file it names must be a plain `.safetensors` name: no directory, no drive, no hidden file.
    public init(opening path: String) throws(SafeTensorsError) {
        let index: JSONValue
        do {
            index = try JSONValue.parse(contentsOf: path, limits: JSONLimits(bytes: 10 << 20, depth: 8))
        } catch {
            throw SafeTensorsError(path: path, message: error.detail)
        }
        guard let members = index["weight_map"]?.object?.members else {
            throw SafeTensorsError(path: path, message: "weight_map is missing or not an object")
        }
        var weightMap: [(key: String, shard: String)] = []
        for (tensor, value) in members {
            guard let shard = value.string else {
                throw SafeTensorsError(path: path, tensor: tensor, message: "its file in weight_map is not a string")
            }
            guard Self.isPlainName(shard) else {
                throw SafeTensorsError(path: path, tensor: tensor, message: "\"\(shard)\" is not a plain name of a .safetensors file")
            }
            weightMap.append((tensor, shard))
        }
        guard !weightMap.isEmpty else { throw SafeTensorsError(path: path, message: "weight_map is empty") }
        self.path = path
        totalSize = index["metadata"]?["total_size"]?.int
        self.weightMap = weightMap.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        self.shards = Set(weightMap.map { Array($0.shard.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }.map {
            String(decoding: $0, as: UTF8.self)
        }
        // Two names that some file systems hold for one.
        if Set(shards.map { $0.lowercased() }).count != shards.count {
            throw SafeTensorsError(path: path, message: "two file names that differ only in case or in the form of their accents")
        }
    }

    /// Opens every file the index names and checks that together they hold exactly the tensors it lists, each in the file it says.
    public func open() throws(SafeTensorsError) -> [SafeTensorsFile] {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = try ModelDirectory(slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
        var files: [SafeTensorsFile] = []
        var found = 0
        for shard in shards {
            guard let member = try directory.member(shard) else {
                throw SafeTensorsError(path: path, message: "the file \(shard) that it names is missing (incomplete download?)")
            }
            let file = try SafeTensorsFile(opening: member)
            for tensor in file.tensors {
                guard let expected = self.shard(of: tensor.name) else {
                    throw SafeTensorsError(path: member, tensor: tensor.name, message: "not listed in \(path)")
                }
                guard expected.utf8.elementsEqual(shard.utf8) else {
                    throw SafeTensorsError(path: member, tensor: tensor.name, message: "listed in \(path) as being in \(expected)")
                }
            }
            found += file.tensors.count
            files.append(file)
        }
        if found != weightMap.count, let missing = weightMap.first(where: { entry in !files.contains { $0.tensor(named: entry.key) != nil } }) {
            throw SafeTensorsError(path: path, tensor: missing.key, message: "listed as being in \(missing.shard), which does not hold it")
        }
        return files
    }

    /// The file that should hold a tensor; nil when the tensor is not listed. O(log n).
    private func shard(of name: String) -> String? {
        var low = 0
        var high = weightMap.count
        while low < high {
            let middle = (low + high) / 2
            if weightMap[middle].key.utf8.lexicographicallyPrecedes(name.utf8) { low = middle + 1 } else { high = middle }
        }
        guard low < weightMap.count, weightMap[low].key.utf8.elementsEqual(name.utf8) else { return nil }
        return weightMap[low].shard
    }

    private static func isPlainName(_ name: String) -> Bool {
        let bytes = name.utf8
        guard bytes.count <= 255, bytes.first != UInt8(ascii: "."), name.hasSuffix(".safetensors") else { return false }
        return bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: ":") }
    }
}
