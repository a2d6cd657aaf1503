#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Python's `datetime.now().strftime(format)`.
enum TimeFormat {
    static func now(_ format: Text) throws(JinjaError) -> Text {
        var now = timespec()
        guard clock_gettime(CLOCK_REALTIME, &now) == 0 else { throw JinjaError("strftime_now: the clock cannot be read") }
        return try text(format, seconds: Int(now.tv_sec), microseconds: Int(now.tv_nsec) / 1000)
    }

    /// - Parameter seconds: since 1970, shown as local time.
    static func text(_ format: Text, seconds: Int, microseconds: Int) throws(JinjaError) -> Text {
        guard format.count <= 1000, !format.scalars.contains("\0") else { throw JinjaError("strftime_now: the format is too long or has a NUL") }
        var result: [Unicode.Scalar] = []
        var rest = format.scalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%", let first = rest.first else {
                result.append(scalar)
                continue
            }
            // A flag of the C library, as in `%-d`.
            let flag: Unicode.Scalar? = "-_0^#".unicodeScalars.contains(first) ? rest.popFirst() : nil
            guard let letter = rest.popFirst() else { break }
            switch letter {
            case "%" where flag == nil: result.append("%")
            case "f" where flag == nil: result += Array(String(1_000_000 + microseconds).unicodeScalars.dropFirst())
            // A time without a zone has none to show.
            case "z", "Z": break
            default:
                guard letter.isASCII, letter.isLetter else { throw JinjaError("strftime_now: '%\(letter)' is not a format") }
                result += try converted("%\(flag.map { String(Character($0)) } ?? "")\(letter)", seconds).scalars
            }
        }
        return Text(result)
    }

    private static func converted(_ format: String, _ seconds: Int) throws(JinjaError) -> Text {
        var seconds = time_t(seconds)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { throw JinjaError("strftime_now: the time cannot be shown") }
        var bytes = [CChar](repeating: 0, count: 256)
        let count = strftime(&bytes, bytes.count, format, &parts)
        return Text(String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
