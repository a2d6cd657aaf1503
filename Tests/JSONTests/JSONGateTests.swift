import JSON
import Testing

/// What the strict gate refuses, and where it says the error is.
@Suite struct JSONGateTests {
    private func refuse(
        _ text: String, at position: (line: Int, column: Int)? = nil, saying words: String, _ location: SourceLocation = #_sourceLocation
    ) {
        refuse(Array(text.utf8), at: position, saying: words, location)
    }

    private func refuse(
        _ bytes: [UInt8], at position: (line: Int, column: Int)? = nil, saying words: String, _ location: SourceLocation = #_sourceLocation
    ) {
        do throws(JSONError) {
            let value = try JSONValue.parse(bytes, source: "test.json")
            Issue.record("accepted as \(value.serialized())", sourceLocation: location)
        } catch {
            #expect(error.message.contains(words), "\(error)", sourceLocation: location)
            #expect(!error.description.contains("\n"), sourceLocation: location)
            if let position {
                #expect(error.line == position.line, "\(error)", sourceLocation: location)
                #expect(error.column == position.column, "\(error)", sourceLocation: location)
            }
        }
    }

    @Test func emptyTextIsRefused() {
        refuse("", at: (1, 1), saying: "end of the text")
        refuse(" \n ", at: (2, 2), saying: "end of the text")
    }

    @Test func byteOrderMarkIsRefused() {
        refuse([0xEF, 0xBB, 0xBF] + Array("{}".utf8), at: (1, 1), saying: "byte order mark")
    }

    @Test func secondDocumentAndTrailingBytesAreRefused() {
        refuse("{} {}", at: (1, 4), saying: "end of the text")
        refuse("1 x", at: (1, 3), saying: "found 'x'")
        refuse("{}\0", at: (1, 3), saying: "byte 0x00")
    }

    @Test func truncationIsRefusedEverywhere() throws {
        let text = Array(#"{"a":[1,-2.5e3,"x\n\ud83d\ude00é",true,false,null,{}]}"#.utf8)
        _ = try JSONValue.parse(text, source: "whole")
        for count in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONValue.parse(Array(text.prefix(count)), source: "cut") }
        }
    }

    @Test func whatJSONCLetsThroughIsRefused() {
        refuse("[NaN]", at: (1, 2), saying: "expected a value, found 'N'")
        refuse("[Infinity]", saying: "expected a value")
        refuse("[-Infinity]", saying: "a digit")
        refuse("['a']", saying: "found '''")
        refuse("{'a':1}", saying: "a key in double quotes")
        refuse("[1,]", at: (1, 4), saying: "expected a value, found ']'")
        refuse(#"{"a":1,}"#, saying: "a key in double quotes")
        refuse("[1 /* one */]", saying: "found '/'")
        refuse("// one\n1", saying: "found '/'")
        refuse("[TRUE]", saying: "expected a value")
        refuse("[nul]", saying: "expected a value")
        refuse("[\"a\tb\"]", at: (1, 4), saying: #"\u0009"#)
        refuse("[\"a\u{0}b\"]", saying: #"\u0000"#)
    }

    @Test func numbersOutsideTheGrammarAreRefused() {
        for text in ["01", "-01", "00"] { refuse(text, at: (1, 1), saying: "begin with 0") }
        for text in ["+1", ".5", "1.", "1.e1", "1e", "1e+", "-", "0x10", "1_000"] { refuse(text, saying: "expected") }
    }

    @Test func numbersBeyondTheirTypeAreRefused() {
        refuse("[9223372036854775808]", at: (1, 2), saying: "64 bits")
        refuse("[-9223372036854775809]", saying: "64 bits")
        refuse("[18446744073709551616]", saying: "64 bits")
        refuse("[" + String(repeating: "9", count: 400) + "]", saying: "64 bits")
        refuse("1e400", saying: "64-bit float")
    }

    @Test func malformedUTF8IsRefused() {
        let sequences: [[UInt8]] = [
            [0xFF], [0x80], [0xC0, 0xAF], [0xC1, 0x81], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0xAF], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xC3], [0xE2, 0x28, 0xA1],
        ]
        for sequence in sequences { refuse(Array("[\"a".utf8) + sequence + Array("\"]".utf8), at: (1, 4), saying: "invalid UTF-8") }
        refuse(Array("[\"a".utf8) + [0xF0, 0x9F], saying: "invalid UTF-8")
    }

    @Test func badEscapesAreRefused() {
        refuse(#"["\x41"]"#, saying: "after a backslash")
        refuse(#"["\u12g4"]"#, saying: "hexadecimal")
        refuse(#"["\ud800"]"#, at: (1, 3), saying: "lone surrogate")
        refuse(#"["\udc00"]"#, saying: "lone surrogate")
        refuse(#"["\ud800\u0041"]"#, saying: "lone surrogate")
        refuse(#"["\ud800\ud800"]"#, saying: "lone surrogate")
        refuse(#"["\ud800x"]"#, saying: "lone surrogate")
    }

    @Test func duplicateKeysAreRefusedHoweverSpelled() {
        refuse("{\"a\":1,\n \"a\":2}", at: (2, 2), saying: #"the key "a" stands twice"#)
        refuse(#"{"a":1,"\u0061":2}"#, at: (1, 8), saying: "stands twice")
        refuse(#"{"😀":1,"\ud83d\ude00":2}"#, saying: "stands twice")
        refuse(#"{"":1,"":2}"#, saying: "stands twice")
        refuse(#"[{"x":{"k":1,"b":[{"k":2}],"k":3}}]"#, saying: #""k""#)
        refuse("{\"a\\nb\":1,\"a\\u000ab\":2}", saying: #""a\nb""#)
    }

    @Test func keysEqualOnlyInCanonicalFormAreTwoKeys() throws {
        let value = try JSONValue.parse(Array("{\"\u{E9}\":1,\"e\u{301}\":2}".utf8), source: "test")
        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
    }

    @Test func nulInAKeyIsRefusedButNotInAString() throws {
        refuse(#"{"a\u0000b":1}"#, saying: #"\u0000"#)
        #expect(try JSONValue.parse(Array(#"["a\u0000b"]"#.utf8), source: "test").array?[0].string == "a\0b")
    }

    @Test func depthIsLimited() throws {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8) }
        _ = try JSONValue.parse(nested(32), source: "test")
        refuse(nested(33), at: (1, 33), saying: "deeper than 32")
        refuse(Array(String(repeating: "{\"a\":", count: 100_000).utf8), saying: "deeper than 32")
        _ = try JSONValue.parse(nested(512), source: "test", limits: JSONLimits(depth: 1 << 40))
        #expect(throws: JSONError.self) { try JSONValue.parse(nested(513), source: "test", limits: JSONLimits(depth: 1 << 40)) }
        // json-c itself must not be the one to stop at the limit.
        _ = try JSONValue.parse(Array(#"{"a":1}"#.utf8), source: "test", limits: JSONLimits(depth: 1))
    }

    @Test func sizeIsLimited() throws {
        _ = try JSONValue.parse(Array("[1]".utf8), source: "test", limits: JSONLimits(bytes: 3))
        #expect(throws: JSONError.self) { try JSONValue.parse(Array("[1] ".utf8), source: "test", limits: JSONLimits(bytes: 3)) }
    }

    @Test func aHundredThousandKeysAreCheckedInLinearTime() throws {
        var text = "{"
        for index in 0..<100_000 { text += "\"key\(index)\":\(index)," }
        let clock = ContinuousClock()
        let time = try clock.measure {
            let value = try JSONValue.parse(Array((text + "\"last\":0}").utf8), source: "test")
            #expect(value.object?.members.count == 100_001)
        }
        #expect(time < .seconds(5))
        refuse(text + "\"key77\":0}", saying: #""key77""#)
    }

    @Test func columnsCountScalars() {
        refuse("{\n  \"é😀\": x}", at: (2, 9), saying: "found 'x'")
    }

    @Test func randomBytesNeverCrash() {
        var random = SystemRandomNumberGenerator()
        let seed = Array(#"{"a":[1,-2.5e3,"x\n\ud83d\ude00é",true,false,null,{"b":{}}],"c":9223372036854775807}"#.utf8)
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // What is accepted must survive being written and read again.
            if let value = try? JSONValue.parse(bytes, source: "fuzz") {
                #expect((try? JSONValue.parse(Array(value.serialized().utf8), source: "again")) == value)
            }
        }
    }
}
