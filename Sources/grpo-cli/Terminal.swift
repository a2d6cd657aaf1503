import Foundation
import Logging

/// What people read while they wait, on standard error: one line that is rewritten in a terminal, a line now and then elsewhere.
struct Terminal {
    static let isInteractive = isatty(STDERR_FILENO) == 1

    private var last: ContinuousClock.Instant?
    private var shown = false
    /// Seconds between two updates: nothing before the first of them.
    private let interval: Duration = isInteractive ? .milliseconds(100) : .seconds(10)
    private let started = ContinuousClock.now

    /// Shows what is going on, if it is time to.
    mutating func update(_ text: @autoclosure () -> String) {
        let now = ContinuousClock.now
        if now - (last ?? started) < interval { return }
        last = now
        if Self.isInteractive {
            Self.write("\r\u{1B}[K" + text())
            shown = true
        } else {
            Self.write(text() + "\n")
        }
    }

    /// Removes the line that is being rewritten.
    mutating func clear() {
        if shown { Self.write("\r\u{1B}[K") }
        shown = false
    }

    /// A whole line.
    mutating func line(_ text: String) {
        clear()
        Self.write(text + "\n")
    }

    /// Whether anybody reads it changes nothing: an error here is passed over.
    static func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

    /// `120.0 MB of 988.1 MB, 12 s left`, from bytes (or elements, taken for bytes) done and in all.
    static func progress(_ done: Int, _ total: Int, since started: ContinuousClock.Instant) -> String {
        let elapsed = seconds(ContinuousClock.now - started)
        let left = done > 0 ? elapsed / Double(done) * Double(total - done) : 0
        return "\(bytes(done)) of \(bytes(total)), \(time(left)) left"
    }

    static func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

    /// `1 h 02 min`, `3 min 20 s`, `12 s`.
    static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        if whole >= 3600 { return "\(whole / 3600) h " + String(format: "%02d min", whole % 3600 / 60) }
        if whole >= 60 { return "\(whole / 60) min " + String(format: "%02d s", whole % 60) }
        return "\(whole) s"
    }

    /// `988.1 MB`.
    static func bytes(_ count: Int) -> String {
        count >= 1_000_000_000 ? String(format: "%.2f GB", Double(count) / 1e9) : String(format: "%.1f MB", Double(count) / 1e6)
    }
}

/// Log messages as plain lines on standard error.
struct TerminalLog: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let word = event.level >= .warning ? "warning" : "note"
        Terminal.write("\(Terminal.isInteractive ? "\r\u{1B}[K" : "")\(word): \(event.message)\n")
    }
}
