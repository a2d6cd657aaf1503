internal import JSON
internal import Synchronization

/// A process that serves the reward functions of one file; started when it is first asked, and again after it has died.
final class RewardWorker: Sendable {
    /// What a worker did instead of answering, on one line.
    struct Failure: Error {
        let message: String
    }

    /// The file or module, as the user wrote it.
    let target: String
    /// Seconds that one question may take.
    let timeout: Double
    private let arguments: [String]
    private let advice: String
    /// The most bytes of an answer.
    private let answerLimit: Int
    /// Nil before the first question and after a failure. Locked while a question is open, so there is one at a time.
    private let process = Mutex<ChildProcess?>(nil)

    /// A worker run as `arguments`; `advice` says what to do when that cannot be started.
    init(target: String, arguments: [String], advice: String, timeout: Double, answerLimit: Int = 64 << 20) {
        self.target = target
        self.arguments = arguments
        self.advice = advice
        self.timeout = timeout
        self.answerLimit = answerLimit
    }

    /// One question, one answer. A process that does not give one is ended; the next question goes to a new one.
    func ask(_ question: JSONObject) throws(Failure) -> JSONObject {
        let line = Array(JSONValue.object(question).serialized().utf8)
        let answer: [UInt8]
        do {
            answer = try process.withLock { process in
                if process?.isRunning == false { process = nil }
                var child = try process.take() ?? start()
                let answer: [UInt8]
                do {
                    answer = try child.ask(line, timeout: timeout, limit: answerLimit)
                } catch {
                    child.end()
                    throw error
                }
                process = consume child
                return answer
            }
        } catch let failure as Failure {
            throw failure
        } catch let failure as ChildProcess.Failure {
            throw Failure(message: "\(target) \(failure.words)")
        } catch {
            throw Failure(message: "\(target): \(error)")
        }
        do {
            guard let object = try JSONValue.parse(answer, source: target).object else {
                throw Failure(message: "\(target) answered \(Self.shortened(answer)), expected a JSON object")
            }
            return object
        } catch let failure as Failure {
            throw failure
        } catch {
            // Whatever else it writes, it does not speak our language.
            process.withLock { $0 = nil }
            throw Failure(message: "\(target) wrote \(Self.shortened(answer)) to its standard output, expected one JSON object on a line")
        }
    }

    private func start() throws(Failure) -> ChildProcess {
        do throws(ChildProcess.Failure) {
            return try ChildProcess(arguments)
        } catch {
            throw Failure(message: "\(arguments[0]) \(error.words); \(advice)")
        }
    }

    private static func shortened(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(80), as: UTF8.self)
        return JSONValue.string(bytes.count > 80 ? text + "…" : text).serialized()
    }
}
