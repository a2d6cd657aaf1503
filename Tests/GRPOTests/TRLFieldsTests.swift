import Foundation
import JSON
import Testing

@testable import GRPO

/// Every field of TRL's dataclasses (Goldens/trl_fields.json) is a field here or a key that is answered, and its default changes nothing.
@Suite struct TRLFieldsTests {
    /// Where our default is not TRL's: TRL's reads `Goldens` README.
    private static let ours: Set<String> = [
        "dtype",  // bfloat16 here; TRL loads float32
        "optim",  // the fused kernel's name means the same arithmetic
        "dataset_train_split", "dataset_test_split",  // `train` and `test` are taken where a dataset has splits
        "reward_funcs",  // an empty list
    ]

    private func fields() throws -> [(name: String, default: JSONValue)] {
        let path = try #require(Bundle.module.path(forResource: "Goldens/trl_fields", ofType: "json"))
        let fields = try #require(try JSONValue.parse(contentsOf: path)["fields"]?.object).members
        return fields.map { ($0.key, $0.value["default"] ?? .null) }
    }

    @Test("none is unknown")
    func known() throws {
        let all = try fields()
        #expect(all.count > 200)
        let names = Set(GRPOConfiguration.fields.flatMap { [$0.name] + $0.aliases })
        for (name, _) in all { #expect(names.contains(name) || ForeignKey.known(name) != nil, "\(name)") }
    }

    @Test("a key that is a field has TRL's default")
    func defaults() throws {
        let ours = Dictionary(uniqueKeysWithValues: GRPOConfiguration.fields.map { ($0.name, $0.defaultYAML) })
        for (name, value) in try fields() where !Self.ours.contains(name) {
            guard let yaml = ours[name] else { continue }
            let found = try JSONValue.parse(Array(yaml.utf8), source: name)
            let isSame = found.double.map { $0 == value.double } ?? (found == value)
            #expect(isSame, "\(name) is \(yaml), TRL has \(value.serialized())")
        }
    }

    @Test("TRL's own defaults, written out, are accepted and say nothing")
    func writtenOut() throws {
        for (name, value) in try fields() where !value.isNull {
            var configuration = GRPOConfiguration()
            let yaml = "\(name): \(value.serialized())"
            let notices = try configuration.read(yaml: yaml, source: "run.yaml")
            #expect(notices.count <= 1, "\(yaml)")
        }
    }
}
