import Foundation
import Synchronization

/// SIGINT and SIGTERM as a wish to stop: the first is noted, a second one ends the program as usual.
enum Interruption {
    private static let signalNumber = Atomic<Int32>(0)

    /// Notes the signals from now on.
    static func watch() {
        _ = signalNumber.load(ordering: .relaxed)  // made before a handler may need it
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                // Only what a signal handler may do: an atomic store, and the default action for the next time.
                Interruption.signalNumber.store(number, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }

    /// Whether a signal has come.
    static var isWished: Bool { signalNumber.load(ordering: .relaxed) != 0 }

    /// Its name.
    static var name: String { signalNumber.load(ordering: .relaxed) == SIGTERM ? "SIGTERM" : "SIGINT" }
}
