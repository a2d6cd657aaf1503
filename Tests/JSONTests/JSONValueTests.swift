import Foundation
import JSON
import Testing

@Suite struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue.parse(Array(text.utf8), source: "test") }

    @Test func everyKindOfValueIsRead() throws {
        let value = try parse(#" { "s" : "a\"\\\/\b\f\n\r\tA😀é" , "i":-12, "n":2.5, "t":true, "f":false, "z":null, "a":[1,[]], "o":{"k":{}} } "#)
        #expect(value["s"]?.string == "a\"\\/\u{8}\u{C}\n\r\tA😀é")
        #expect(value["i"]?.int == -12)
        #expect(value["i"]?.double == -12)
        #expect(value["n"]?.double == 2.5)
        #expect(value["n"]?.int == nil)
        #expect(value["t"]?.bool == true)
        #expect(value["f"]?.bool == false)
        #expect(value["z"] == .null)
        #expect(value["a"] == [1, []])
        #expect(value["o"]?["k"]?.object?.members.isEmpty == true)
        #expect(value["missing"] == nil)
        #expect(value["s"]?["x"] == nil)
    }

    @Test func escapesAreDecoded() throws {
        #expect(try parse(#""\u00e9\ud83d\ude00\u0041\u2028""#).string == "é😀A\u{2028}")
        #expect(try parse(#" {"\uD83D\uDC00\n":["\"\ud83e\udd17é\\ud83d",-0,"\ud800\udc00"]} "#).serialized() == #"{"🐀\n":["\"🤗é\\ud83d",-0.0,"𐀀"]}"#)
    }

    /// Spells a scalar as Python's `json.dumps` does by default.
    private func escaped(_ scalar: Unicode.Scalar) -> String {
        UTF16.encode(scalar).map { $0.map { "\\u" + String(0x1_0000 + Int($0), radix: 16).dropFirst() }.joined() } ?? ""
    }

    /// One document to a plane, as values and as keys; U+0000 aside, which no key may hold.
    @Test(arguments: 0..<17 as Range<UInt32>)
    func everyEscapedScalarIsDecoded(plane: UInt32) throws {
        let scalars = (plane << 16..<(plane + 1) << 16).dropFirst(plane == 0 ? 1 : 0).compactMap(Unicode.Scalar.init)
        let texts = scalars.map { "\"" + escaped($0) + "\"" }
        let values = try #require(try parse("[" + texts.joined(separator: ",") + "]").array)
        #expect(values.elementsEqual(scalars) { $0.string.map { Array($0.unicodeScalars) } == [$1] })
        let members = try #require(try parse("{" + texts.map { $0 + ":0" }.joined(separator: ",") + "}").object?.members)
        #expect(members.elementsEqual(scalars) { Array($0.key.unicodeScalars) == [$1] })
    }

    @Test(arguments: ["0", "7", "9223372036854775807", "-9223372036854775808", "true", "false", "null", "\"x\"", "[]", "{}", "  5\n"])
    func aDocumentMayBeAnyValue(_ text: String) throws {
        let value = try parse(text)
        #expect(value.serialized() == text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    @Test func integersAndNumbersAreToldApart() throws {
        #expect(try parse("1") == .integer(1))
        #expect(try parse("1.0") == .number(1))
        #expect(try parse("1e0") == .number(1))
        #expect(try parse("1E+2") == .number(100))
        #expect(try parse("18446744073709551616.0") == .number(18446744073709551616))
        #expect(try parse("9007199254740993") == .integer(9_007_199_254_740_993))
        for text in ["-0", "-0.0", "-0e5"] {
            let zero = try parse(text)
            #expect(zero.int == nil)
            #expect(zero.double?.bitPattern == (-0.0).bitPattern)
        }
    }

    @Test func orderIsKept() throws {
        let text = #"{"zebra":1,"apple":2,"":3,"10":4,"9":5,"mango":{"b":1,"a":2}}"#
        #expect(try parse(text).serialized() == text)
    }

    @Test func membersAreSetInPlaceAppendedAndRemoved() {
        var object = JSONObject([(key: "a", value: 1), (key: "b", value: 2)])
        object["a"] = 3
        object["c"] = nil
        object["d"] = "x"
        object["b"] = nil
        #expect(JSONValue.object(object).serialized() == #"{"a":3,"d":"x"}"#)
        #expect(object["a"] == 3)
        #expect(object["b"] == nil)
    }

    @Test func prettyIsPythonsIndentTwo() {
        let value: JSONValue = ["a": [1, 2.5, []], "b": [:], "é\u{1}\u{7F}/": "x\n\"\\", "c": ["d": nil, "e": true]]
        let expected = """
            {
              "a": [
                1,
                2.5,
                []
              ],
              "b": {},
              "é\\u0001\u{7F}/": "x\\n\\"\\\\",
              "c": {
                "d": null,
                "e": true
              }
            }
            """
        #expect(value.serialized(pretty: true) == expected)
        #expect(value.serialized() == "{\"a\":[1,2.5,[]],\"b\":{},\"é\\u0001\u{7F}/\":\"x\\n\\\"\\\\\",\"c\":{\"d\":null,\"e\":true}}")
    }

    /// The right-hand sides are what Python 3's `repr` gives.
    @Test(arguments: [
        (0.0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (-1.5, "-1.5"), (0.1, "0.1"), (1e-4, "0.0001"), (1.5e-4, "0.00015"), (1e-5, "1e-05"),
        (1e-6, "1e-06"),
        (1.25e-7, "1.25e-07"), (123456789.125, "123456789.125"), (1e15, "1000000000000000.0"), (9007199254740992, "9007199254740992.0"),
        (1e16, "1e+16"), (1.2e16, "1.2e+16"), (1e22, "1e+22"), (1e100, "1e+100"), (.leastNonzeroMagnitude, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (100.0, "100.0"), (0.30000000000000004, "0.30000000000000004"), (10000000.0, "10000000.0"),
    ])
    func numbersAreWrittenAsPythonWritesThem(_ value: Double, _ text: String) throws {
        #expect(JSONValue.number(value).serialized() == text)
        #expect(try parse(text).double?.bitPattern == value.bitPattern)
    }

    @Test func randomNumbersRoundTrip() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            #expect(try parse(JSONValue.number(value).serialized()).double?.bitPattern == value.bitPattern)
        }
    }

    @Test func notANumberBecomesNull() {
        #expect(JSONValue.array([.number(.nan), .number(.infinity)]).serialized() == "[null,null]")
    }

    @Test func filesAreReadBounded() throws {
        let path = NSTemporaryDirectory() + "json-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(#"{"a":1}"#.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try JSONValue.parse(contentsOf: path)["a"] == 1)
        #expect(throws: JSONError.self) { try JSONValue.parse(contentsOf: path, limits: JSONLimits(bytes: 6)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(contentsOf: path + ".missing") }
        #expect(throws: JSONError.self) { try JSONValue.parse(contentsOf: NSTemporaryDirectory()) }
        #expect(throws: JSONError.self) { try JSONValue.parse(contentsOf: "/dev/zero") }
    }

    @Test func errorsAreOneLineWithTheirPlace() throws {
        do throws(JSONError) {
            _ = try JSONValue.parse(Array("{\n\"a\": tru}".utf8), source: "config.json")
            Issue.record("accepted")
        } catch {
            #expect(error.description == "config.json:2:6: expected a value, found 't'")
            #expect(error.offset == 7)
        }
    }
}
