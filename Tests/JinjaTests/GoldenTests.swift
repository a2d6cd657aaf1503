import Foundation
import JSON
import Jinja
import Testing

/// Templates that Jinja2 has rendered; scripts/goldens/jinja.py wrote them down.
@Suite struct GoldenTests {
    private static let goldens = Result {
        let file = try #require(Bundle.module.url(forResource: "templates", withExtension: "json", subdirectory: "Goldens"))
        return try JSONValue.parse(Array(try Data(contentsOf: file)), source: file.path)
    }

    @Test(arguments: [
        "whitespace", "literals", "operators", "access", "strings", "filters", "tests", "loops", "scopes", "macros", "generation", "refused",
        "random",
    ])
    func rendersAsJinja2(group: String) throws {
        let goldens = try Self.goldens.get()
        let variables = try #require(goldens["variables"]?.object)
        let cases = try #require(goldens["groups"]?[group]?.array)
        #expect(cases.count > 5)
        for golden in cases {
            let source = try #require(golden["template"]?.string)
            guard let text = golden["text"]?.string else {
                let error = #expect(throws: JinjaError.self, "\(source)") { try JinjaTemplate(source).render(variables) }
                #expect(error?.line != nil && error?.description.contains("\n") == false, "\(source)")
                continue
            }
            do {
                let rendering = try JinjaTemplate(source).render(variables)
                #expect(Array(rendering.text.utf8) == Array(text.utf8), "\(source)")
                #expect(
                    .array(rendering.generations.map { [.integer(Int64($0.lowerBound)), .integer(Int64($0.upperBound))] }) == golden["generations"],
                    "\(source)")
            } catch {
                Issue.record("\(error): \(source)")
            }
        }
    }
}
