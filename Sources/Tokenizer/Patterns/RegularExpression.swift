internal import CPCRE2

/// A compiled regular expression out of `tokenizer.json`, written for Oniguruma, run by PCRE2 with its just-in-time compiler.
///
/// Expressions are untrusted: their size, their nesting and the steps of one match are limited.
final class RegularExpression: @unchecked Sendable {
    // Invariant: `code` is never written to after `init`; PCRE2 lets any number of threads match with one.
    private let code: OpaquePointer
    private let source: String
    private let location: String

    /// Whether it may match the empty text.
    var mayMatchNothing: Bool {
        var may: UInt32 = 1
        pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_MATCHEMPTY), &may)
        return may != 0
    }

    /// Why an expression cannot be used.
    struct Refusal: Error { var message: String }

    private static let longestPattern = 1 << 14
    private static let longestTranslation = 1 << 20
    /// Backtracking steps of one match; a tokenizer's pattern needs a handful.
    private static let mostSteps: UInt32 = 1_000_000
    private static let mostHeapKiB: UInt32 = 64 << 10
    private static let mostStack = 1 << 20

    /// Compiles an expression that stands at `location` in `source`.
    init(_ pattern: String, source: String, location: String) throws(Refusal) {
        guard pattern.utf8.count <= Self.longestPattern else { throw Refusal(message: "it is longer than \(Self.longestPattern) bytes") }
        let translated = try OnigurumaSyntax.pcre2(pattern)
        guard translated.utf8.count <= Self.longestTranslation else { throw Refusal(message: "it is too long, its classes spelled out") }
        guard let context = pcre2_compile_context_create_8(nil) else { throw Refusal(message: "out of memory") }
        defer { pcre2_compile_context_free_8(context) }
        pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
        pcre2_set_parens_nest_limit_8(context, 100)
        var (error, offset): (Int32, Int) = (0, 0)
        let options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C
        let bytes = Array(translated.utf8)
        guard let code = pcre2_compile_8(bytes, bytes.count, UInt32(options), &error, &offset, context) else {
            throw Refusal(message: Self.message(error))
        }
        self.code = code
        self.source = source
        self.location = location
        // Without the just-in-time compiler, PCRE2 interprets: slower, the same.
        pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit { pcre2_code_free_8(code) }

    private static func message(_ code: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = Int(pcre2_get_error_message_8(code, &buffer, buffer.count))
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : "PCRE2 error \(code)"
    }

    /// Calls `found` with every match from left to right, none overlapping; an empty one only where the last did not just end.
    func findAll(in text: UTF8Text, _ found: (Range<Int>) -> Void) throws(TokenizerError) {
        guard let matches = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
            throw failure("out of memory")
        }
        var stack: OpaquePointer?
        defer {
            pcre2_match_data_free_8(matches)
            pcre2_match_context_free_8(context)
            pcre2_jit_stack_free_8(stack)
        }
        pcre2_set_match_limit_8(context, Self.mostSteps)
        pcre2_set_heap_limit_8(context, Self.mostHeapKiB)
        var position = 0
        var lastEnd: Int?
        while position <= text.count {
            var result = match(text, position, matches, context)
            if result == PCRE2_ERROR_JIT_STACKLIMIT, stack == nil {
                stack = pcre2_jit_stack_create_8(1 << 15, Self.mostStack, nil)
                pcre2_jit_stack_assign_8(context, nil, stack.map(UnsafeMutableRawPointer.init))
                result = match(text, position, matches, context)
            }
            if result == PCRE2_ERROR_NOMATCH { return }
            guard result >= 0, let range = pcre2_get_ovector_pointer_8(matches) else {
                throw failure("the expression gave up on a text (\(Self.message(result))): it takes too many steps")
            }
            let (start, end) = (range[0], range[1])
            // \K could put the start behind the end; the translation lets none through, but nothing here depends on it.
            guard start <= end, end <= text.count else { throw failure("the expression matched backwards") }
            if start == end, lastEnd == end {
                guard position < text.count else { return }
                position += text.scalar(at: position).length
                continue
            }
            found(start..<end)
            position = end
            lastEnd = end
        }
    }

    private func match(_ text: UTF8Text, _ position: Int, _ matches: OpaquePointer, _ context: OpaquePointer) -> Int32 {
        pcre2_match_8(code, text.bytes.baseAddress, text.count, position, UInt32(PCRE2_NO_UTF_CHECK), matches, context)
    }

    private func failure(_ message: String) -> TokenizerError { TokenizerError(source: source, location: location, message: message) }
}
