import Foundation
import JSON
import Jinja
import Testing

/// A template is a program from outside: it ends, soon, and with an error.
@Suite struct LimitTests {
    @Test(arguments: [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}",
        "{% for a in range(10 ** 12) %}{% endfor %}",
        "{{ 'a' * 10 ** 9 }}", "{{ ('a' * 10 ** 6) * 10 ** 6 }}", "{{ [0] * 10 ** 9 }}", "{{ 'a'.center(10 ** 12) }}", "{{ '%1000000000d' % 1 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% for a in range(100000) %}{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 20000) + "{% endif %}{% endfor %}",
        String(repeating: "{% for a in [1] %}", count: 90)
            + "{% for b in range(100000) %}{% for b in range(100000) %}{{ x }}{{ x }}{% endfor %}{% endfor %}"
            + String(repeating: "{% endfor %}", count: 90),
        "{% for a in range(100000) %}" + (0..<5000).map { "{% set a\($0) = 1 %}" }.joined() + "{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% macro m() %}{% endmacro %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% set n = namespace(a=1) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(40) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% call m() %}{{ caller() }}{% endcall %}{% endcall %}",
        "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for a in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for a in range(10000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[]) %}{% for a in range(100000) %}{% set ns.l = [ns.l]|map('list') %}{% endfor %}",
        "{% set ns = namespace(l=none) %}{% for a in range(100000) %}{% set ns.l = {'a': ns.l}.items() %}{% endfor %}",
        "{% set ns = namespace(l=none) %}{% for a in range(100000) %}{% set ns.l = cycler(ns.l) %}{% endfor %}",
        "{% set ns = namespace(l=none) %}{% for a in range(100000) %}{% set ns.l = joiner(ns.l) %}{% endfor %}",
        "{% set ns = namespace(l='a') %}{% for a in range(100000) %}{% set ns.l = {'m': ns.l}.get %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns|string|length }}",
        "{% set x = 'ab' * 100000 %}{% for a in range(100000) %}{% if 'ac' in x %}{% endif %}{% endfor %}",
        "{% set x = 'é' * 100000 %}{% for a in range(100000) %}{% set y = x|upper %}{% endfor %}",
        "{% set x = range(100000)|list %}{% for a in range(100000) %}{% if -1 in x %}{% endif %}{% endfor %}",
        "{% set x = range(100000)|list %}{% for a in range(1000) %}{% set y = x|sort(reverse=true)|reverse|unique|list %}{% endfor %}",
        "{% set x = range(100000)|list %}{% for a in range(1000) %}{% set y = x|tojson %}{% endfor %}",
        "{{ range(100000)|map('center', 100000)|join|length }}", "{{ range(100000)|batch(1, 0)|list|length }}{{ [1]|batch(10 ** 10, 0)|list }}",
        "{{ [1]|slice(10 ** 10)|list }}",
        "{{ [[[[1]]]]|tojson(indent=10 ** 10) }}", "{{ 'a'|indent(10 ** 10, true) }}", "{{ 9223372036854775807 + 1 }}",
        "{{ -9223372036854775807 - 2 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
        "{{ (-9223372036854775807 - 1)|abs }}", "{{ -(-9223372036854775807 - 1) }}", "{{ 1e300|int }}", "{{ 1e308|round(308, 'ceil') }}",
        "{{ range(1, 9223372036854775807, 9223372036854775807)[5:] }}{{ 1/0 }}",
        "{{ strftime_now('%Y' * 1000) }}", "{{ 99999999999999999999 }}",
    ])
    func endsWithAnError(source: String) throws {
        let start = computed()
        let error = #expect(throws: JinjaError.self) { try JinjaTemplate(source).render(JSONObject()) }
        #expect(error?.line == 1)
        #if !DEBUG
            #expect(computed() - start < 1, "\(source): \(computed() - start) s")
        #endif
    }

    /// The seconds that this thread has computed, whatever else the machine does.
    private func computed() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// As text of any depth: parentheses, lists, signs, blocks, conditions.
    @Test(arguments: [
        ("(", ")"), ("[", "]"), ("{1: ", "}"), ("-", ""), ("not ", ""), ("+", ""), ("1 if 1 else ", ""), ("x[", "]"), ("f(", ")"), ("x|f(", ")"),
        ("x is f(", ")"), ("1 + (", ")"), ("x is in ", ""),
    ])
    func nestedExpressionsEndAtTheLimit(open: String, close: String) throws {
        for depth in [1000, 80_000] {
            let source = "{{ " + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth) + " }}"
            let error = #expect(throws: JinjaError.self) { try JinjaTemplate(source).render(JSONObject()) }
            #expect(error?.message.contains("nested") == true || open == "x is in ", "\(error.map { "\($0)" } ?? "")")
        }
        // A depth that templates have is none.
        let shallow = String(repeating: "(", count: 40) + "1" + String(repeating: ")", count: 40)
        #expect(try JinjaTemplate("{{ \(shallow) }}").render(JSONObject()).text == "1")
    }

    @Test(arguments: [
        ("{% if 1 %}", "{% endif %}"), ("{% for x in [1] %}", "{% endfor %}"), ("{% macro m() %}", "{% endmacro %}"),
        ("{% filter upper %}", "{% endfilter %}"), ("{% set x %}", "{% endset %}"),
        ("{% with %}", "{% endwith %}"), ("{% call m() %}", "{% endcall %}"), ("{% generation %}", "{% endgeneration %}"),
    ])
    func nestedBlocksEndAtTheLimit(open: String, close: String) throws {
        for depth in [1000, 20_000] {
            let source = String(repeating: open, count: depth) + String(repeating: close, count: depth)
            let error = #expect(throws: JinjaError.self) { try JinjaTemplate(source) }
            #expect(error?.message.contains("nested") == true)
        }
    }

    /// What is long without being nested is no problem.
    @Test func longChainsAreNotNested() throws {
        let n = 20_000
        func text(_ source: String) throws -> String { try JinjaTemplate(source).render(JSONObject([("x", 1)])).text }
        #expect(try text("{{ 0" + String(repeating: " + 1", count: n) + " }}") == "\(n)")
        #expect(try text("{{ x" + String(repeating: " and x", count: n) + " }}") == "1")
        #expect(try text("{{ ''" + String(repeating: " ~ 'a'", count: n) + " }}").utf8.count == n)
        #expect(try text("{{ 'a'" + String(repeating: "|upper", count: n) + " }}") == "A")
        #expect(try text("{% if 0 %}" + String(repeating: "{% elif 0 %}", count: n) + "{% else %}e{% endif %}") == "e")
        #expect(try text("{{ 1" + String(repeating: " == 1", count: n) + " }}") == "True")
    }

    @Test func limitsAreTheCallersToSet() throws {
        var limits = JinjaLimits()
        limits.output = 10
        #expect(throws: JinjaError.self) { try JinjaTemplate("{{ 'a' * 11 }}", limits: limits).render(JSONObject()) }
        #expect(try JinjaTemplate("{{ 'a' * 10 }}", limits: limits).render(JSONObject()).text.utf8.count == 10)
        limits.source = 3
        #expect(throws: JinjaError.self) { try JinjaTemplate("abcd", limits: limits) }
        limits = JinjaLimits()
        limits.steps = 100
        #expect(throws: JinjaError.self) { try JinjaTemplate("{% for x in range(100) %}{% endfor %}", limits: limits).render(JSONObject()) }
        limits = JinjaLimits()
        limits.nesting = 3
        #expect(throws: JinjaError.self) { try JinjaTemplate("{{ x }}", limits: limits).render(JSONObject([("x", [[[[1]]]])])) }
        #expect(try JinjaTemplate("{{ x }}", limits: limits).render(JSONObject([("x", [[1]])])).text == "[[1]]")
    }

    /// The budget grows with what the template is given.
    @Test func longConversationsRender() throws {
        let message: JSONValue = .object(JSONObject([("content", .string(String(repeating: "a word<think> ", count: 100_000)))]))
        let source = """
            {% for m in messages %}{% set parts = m.content.split('<think>') %}{{ parts|length }}{{ m.content.strip()|length }}{{ m.content|tojson|length }}{{ m.content }}{% endfor %}
            """
        let text = try JinjaTemplate(source).render(JSONObject([("messages", .array(Array(repeating: message, count: 10)))])).text
        #expect(text.utf8.count > 14_000_000)
    }
}
