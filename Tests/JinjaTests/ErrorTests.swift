import JSON
import Testing

@testable import Jinja

@Suite struct ErrorTests {
    /// The place is that of the innermost thing that failed.
    @Test(arguments: [
        ("a\n  {{ missing.x }}", 2, 13, "'missing' is undefined"), ("{{ 1 + 'a' }}", 1, 6, "unsupported operand"),
        ("{{ 'a'|upper|nope }}", 1, 14, "no filter named 'nope'"),
        ("{% if 1 %}\n{% endfor %}", 2, 4, "unknown tag 'endfor'; the open block waits for 'elif' or 'else' or 'endif'"),
        ("\n{% for x in y %}", 2, 4, "'endfor' or 'else' is missing"),
        ("{{ 'é🥳' ! }}", 1, 9, "unexpected character '!'"), ("x\r\ny\r{{ ) }}", 3, 4, "unexpected ')'"),
        ("{% include 'x' %}", 1, 4, "'include' is not supported: a template here stands alone"),
        ("{{ raise_exception('bad role') }}", 1, 19, "bad role"), ("{{ 'x'|pprint }}", 1, 8, "the filter 'pprint' is not supported"),
        ("{{ lipsum(1) }}", 1, 10, "the function 'lipsum' is not supported"),
        ("{{ 'x'.format(1) }}", 1, 14, "the method 'format' of str is not supported"),
        ("{# never", 1, 1, "'#}' is missing"), ("{{ 1", 1, 5, "unexpected the end of the template"),
        ("{% macro m(a) %}\n{{ a.b.c }}{% endmacro %}{{ m({}) }}", 2, 7, "'dict object' has no attribute 'b'"),
        ("{{ {'a': 1}.pop('a') }}", 1, 16, "access to attribute 'pop' of 'dict' object is unsafe"),
        ("{{ [1].x.y }}", 1, 9, "'list object' has no attribute 'x'"), ("{{ [1][5].y }}", 1, 10, "list object has no element 5"),
    ])
    func namesThePlace(source: String, line: Int, column: Int, words: String) throws {
        let error = #expect(throws: JinjaError.self) { try JinjaTemplate(source).render(JSONObject()) }
        #expect(error?.line == line && error?.column == column && error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "no error")")
    }

    @Test func descriptionIsOneShortLine() {
        let error = JinjaError("a\n\u{1b}[31m\u{202e}\u{2028}" + String(repeating: "x", count: 5000))
        #expect(error.description.hasPrefix("a\\u000a\\u001b[31m\\u202e\\u2028xxx") && error.description.utf8.count < 1100)
    }

    /// As Python's strftime in the C locale and UTC would: 2026-03-04 05:06:07.000089.
    @Test func timesAreFormatted() throws {
        setenv("TZ", "UTC", 1)
        tzset()
        let text = try TimeFormat.text("%Y-%m-%d %H:%M:%S.%f|%-d %B %b %A|%j|%%|%z%Z|é%", seconds: 1_772_600_767, microseconds: 89)
        #expect(text.string == "2026-03-04 05:06:07.000089|4 March Mar Wednesday|063|%||é%")
        #expect(throws: JinjaError.self) { try TimeFormat.text("\0", seconds: 0, microseconds: 0) }
        #expect(throws: JinjaError.self) { try TimeFormat.text("%9999999d", seconds: 0, microseconds: 0) }
        #expect(try JinjaTemplate("{{ strftime_now('%Y') | int > 2000 }}").render(JSONObject()).text == "True")
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
