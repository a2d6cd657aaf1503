import Foundation
import JSON
import Qwen2
import Testing
import Tokenizer

@testable import GRPO

/// Expressions that answers are made to match.
@Suite struct AnswerPatternTests {
    private static func golden() throws -> [JSONValue] {
        let path = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens/answer-patterns.json").path
        return try #require(try JSONValue.parse(contentsOf: path).array)
    }

    @Test func matchesAsPython() throws {
        var compared = 0
        for row in try Self.golden() {
            let row = try #require(row.array)
            let expression = try #require(row[0].string)
            let automaton = try PatternAutomaton(expression)
            for (texts, matches) in [(row[1], true), (row[2], false)] {
                for text in texts.array?.compactMap(\.string) ?? [] {
                    #expect(automaton.matches(text) == matches, "\(expression) \(text.debugDescription)")
                    compared += 1
                }
            }
        }
        #expect(compared > 1000)
    }

    @Test func answersOfTheUsualForms() throws {
        let form = try PatternAutomaton(#"<think>[\s\S]*</think>\n?<answer>-?\d{1,5}</answer>"#)
        #expect(form.matches("<think>12 + 7 is\n19 — 好</think>\n<answer>19</answer>"))
        for wrong in ["<think></think><answer></answer>", "<think></think><answer>1</answer> ", "x<think></think><answer>1</answer>", ""] {
            #expect(!form.matches(wrong))
        }
        #expect(try PatternAutomaton("^(yes|no)$").matches("no"))
        #expect(try PatternAutomaton(#"\A(?:^a|b$|c)\Z"#).matches("b"))
        #expect(try !PatternAutomaton("(a$|a)b*").matches("abc"))
        #expect(try PatternAutomaton("(a$|a)b*").matches("abb"))
        #expect(try PatternAutomaton("(?i)Yes[é-ü]").matches("yESö"))
        #expect(try PatternAutomaton("").matches(""))
    }

    /// Bytes that are not UTF-8 are no text, whatever the expression.
    @Test func everyScalarAndNothingElse() throws {
        let automaton = try PatternAutomaton(#"[\s\S]"#)
        func matches(_ bytes: [UInt8]) -> Bool {
            var state = PatternAutomaton.start
            for byte in bytes {
                guard let next = automaton.state(after: byte, from: state) else { return false }
                state = next
            }
            return automaton.accepts(state)
        }
        for value in stride(from: UInt32(0), through: 0x10FFFF, by: 37) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            #expect(matches(Array(String(scalar).utf8)))
        }
        for bytes: [UInt8] in [
            [0x80], [0xC0, 0x80], [0xC2], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE0, 0x80, 0x80], [0xFF], [0x41, 0x41],
        ] {
            #expect(!matches(bytes))
        }
    }

    @Test(arguments: [
        ("(a", "'('"), ("a)", "')'"), ("[a", "'['"), ("*a", "nothing to repeat"), ("(?=a)b", "linear time"), (#"(a)\1"#, "back reference"),
        (#"\bword"#, "\\b"), ("(?m)^a$", "(?m)"),
        (#"[^\s\S]"#, "nothing matches"),
        ("a$b", "nothing matches"), ("a^b", "nothing matches"), ("((((a{1000}){1000}){1000}){1000})", "too large"), ("(.{900}){9}", "too large"),
        (#"(a|b)*a(a|b){20}"#, "too many states"), (#"\"#, "at the end"),
        (String(repeating: "(", count: 200) + String(repeating: ")", count: 200), "nested"),
    ])
    func isRefused(expression: String, words: String) {
        let time = ContinuousClock().measure {
            let error = #expect(throws: ConstraintError.self) { try PatternAutomaton(expression) }
            #expect(error?.description.contains(words) == true && error?.description.contains("\n") == false, "\(error?.description ?? "")")
        }
        #expect(time < .seconds(20))
    }

    private static func tokenizer() throws -> BPETokenizer {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens/trl-model")
        return try BPETokenizer(contentsOf: folder.appendingPathComponent("tokenizer.json").path)
    }

    /// The mask against the plainest way to know it: whether some text that begins with the tokens so far can still match.
    @Test func allowsTheTokensThatCanGoOn() throws {
        let tokenizer = try Self.tokenizer()
        let end: Int32 = 288
        let expression = #"(the|a) (cat|é中)\.?"#
        let whole = ["the", "a"].flatMap { first in ["cat", "é中"].flatMap { second in ["", "."].map { "\(first) \(second)\($0)" } } }.map {
            Array($0.utf8)
        }
        let constraint = try TokenConstraint(expression: expression, tokenizer: tokenizer, vocabularySize: 300, endTokens: [end])
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            var (progress, bytes): (TokenConstraint.Progress, [UInt8]) = (.init(), [])
            while let mask = constraint.allowed(progress) {
                let allowed = (0..<300).filter { mask[$0] }.map(Int32.init)
                let expected = (0..<Int32(300)).filter { id in
                    if id == end { return whole.contains(bytes) }
                    guard !tokenizer.isSpecial(id), let more = tokenizer.bytes(of: id), !more.isEmpty else { return false }
                    return whole.contains { $0.starts(with: bytes + more) }
                }
                #expect(allowed == expected)
                guard let id = allowed.randomElement(using: &random), id != end else { break }
                bytes += try #require(tokenizer.bytes(of: id))
                constraint.advance(&progress, with: id)
            }
            #expect(whole.contains(bytes))
        }
        // Without an end token the answer ends where nothing can follow.
        let open = try TokenConstraint(expression: "no", tokenizer: tokenizer, vocabularySize: 300, endTokens: [])
        var progress = TokenConstraint.Progress()
        for id in try tokenizer.encode("no") { open.advance(&progress, with: id) }
        #expect(open.allowed(progress) == nil)
    }

    @Test func passAtKIsTheShareOfSubsets() {
        // Over all subsets of k completions, the share with one that is right.
        for n in 1...7 {
            for c in 0...n {
                for k in 1...n {
                    let subsets = (0..<1 << n).filter { $0.nonzeroBitCount == k }
                    let share = Double(subsets.count { $0 & (1 << c - 1) != 0 }) / Double(subsets.count)
                    #expect(abs(PassAtK.estimate(completions: n, right: c, k: k) - share) < 1e-12)
                }
            }
        }
        #expect(PassAtK.estimate(completions: 10_000, right: 1, k: 100) - 0.01 < 1e-12)
        // Wilson's interval of 3 right of 10, as statsmodels' proportion_confint(3, 10, method="wilson") has it.
        let three = PassAtK(k: 1, right: (0..<10).map { [$0 < 3] })
        #expect(abs(three.interval.lowerBound - 0.10779127) < 1e-6 && abs(three.interval.upperBound - 0.60322185) < 1e-6)
        #expect(PassAtK(k: 1, right: [[true], [true]]).interval.upperBound == 1)
        #expect(PassAtK(k: 2, right: [[false, false]]).interval.lowerBound == 0)
    }
}
