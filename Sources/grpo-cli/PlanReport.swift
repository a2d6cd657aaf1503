import Checkpoints
import Foundation
import GRPO

/// What an export will write, as `convert --dry-run` shows it.
struct PlanReport {
    private let plan: ExportPlan
    private let source, destination: String

    init(_ plan: ExportPlan, from source: String, to destination: String) {
        self.plan = plan
        self.source = source
        self.destination = destination
    }

    /// Every tensor, every file, and the sums.
    func print() throws {
        for file in plan.files {
            try StandardOutput.line("\(file.name)  \(plan.isBound ? "at most " : "")\(file.byteCount) bytes")
            for tensor in file.tensors {
                let shape = tensor.shape.isEmpty ? "scalar" : tensor.shape.map(String.init).joined(separator: " x ")
                try StandardOutput.line("  \(tensor.name)  \(shape)  \(tensor.storage)  \(tensor.byteCount)")
            }
        }
        var types: [(name: String, tensors: Int, bytes: Int)] = []
        for tensor in plan.files.flatMap(\.tensors) {
            if let place = types.firstIndex(where: { $0.name == tensor.storage }) {
                types[place].tensors += 1
                types[place].bytes += tensor.byteCount
            } else {
                types.append((tensor.storage, 1, tensor.byteCount))
            }
        }
        for type in types { try StandardOutput.line("\(type.name): \(type.tensors) tensors, \(type.bytes) bytes") }
        for substitution in plan.substitutions { try StandardOutput.line(Self.line(substitution)) }
        for note in plan.notes { try StandardOutput.line("note: \(note)") }
        let free = ExportPlan.freeBytes(at: destination).map { ", \(Terminal.bytes($0)) free" } ?? ""
        try StandardOutput.line("\(source) -> \(destination): \(plan.isBound ? "at most " : "")\(plan.byteCount) bytes\(free); nothing was written")
    }

    /// One tensor that cannot have its type.
    static func line(_ substitution: ExportPlan.Substitution) -> String {
        "\(substitution.tensor): \(substitution.used) instead of \(substitution.wanted): \(substitution.reason)"
    }

    /// The bytes of a file, or of the files in a directory.
    static func size(of path: String) -> Int {
        let manager = FileManager.default
        func size(_ path: String) -> Int { (try? manager.attributesOfItem(atPath: path)[.size] as? Int) ?? 0 }
        guard let names = try? manager.contentsOfDirectory(atPath: path) else { return size(path) }
        return names.reduce(0) { $0 + size("\(path)/\($1)") }
    }
}
