#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A program that answers lines with lines: its standard input and output are one socket, its standard error is ours. It ends with this value.
///
/// On posix_spawn and poll, not on swift-subprocess: a worker outlives any one call and is asked by synchronous code, while that library's process
/// lives inside an async closure; waiting for it from here would block a thread of the pool that it needs itself.
struct ChildProcess: ~Copyable {
    /// Why a program did not answer.
    struct Failure: Error {
        /// What it did, as the end of a sentence that begins with its name.
        let words: String
    }

    let id: pid_t
    private let socket: Int32
    /// What it has written beyond the last answer.
    private var unread: [UInt8] = []

    /// Starts `arguments[0]`, looked up in PATH when it has no slash, in a process group of its own: Ctrl-C is for us to handle.
    init(_ arguments: [String]) throws(Failure) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Self.streamSocket, 0, &ends) == 0 else { throw Failure(words: "cannot be started: " + Self.message(errno)) }
        defer { close(ends[1]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        // Signals that we ignore or block are its own business again.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))

        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var id: pid_t = 0
        let code = posix_spawnp(&id, arguments[0], &actions, &attributes, &words, environ)
        guard code == 0 else {
            close(ends[0])
            throw Failure(words: "cannot be started: " + Self.message(code))
        }
        self.id = id
        socket = ends[0]
    }

    /// Whether it still runs.
    var isRunning: Bool {
        var status = siginfo_t()
        // WNOWAIT leaves the zombie, and so its process group, to `deinit`.
        return waitid(P_PID, id_t(id), &status, WEXITED | WNOHANG | WNOWAIT) == 0 && Self.pid(status) == 0
    }

    /// Sends a line, of which `line` is all but the newline, and waits at most `timeout` seconds for one of at most `limit` bytes in return.
    ///
    /// After a failure nothing is known about what it will say next; it is to be ended.
    mutating func ask(_ line: [UInt8], timeout: Double, limit: Int) throws(Failure) -> [UInt8] {
        let deadline = ContinuousClock.now + .seconds(timeout)
        guard unread.isEmpty else { throw Failure(words: "wrote more than one line for an answer") }
        let request = line + [UInt8(ascii: "\n")]
        var sent = 0
        var isDead = false
        while true {
            let left = (deadline - .now) / .milliseconds(1)
            guard left > 0 else { throw Failure(words: "did not answer within \(timeout) s") }
            var event = pollfd(fd: socket, events: Int16(POLLIN | (sent < request.count ? POLLOUT : 0)), revents: 0)
            // Its own children may hold the socket open after its death: do not rely on the end of the stream alone.
            let ready = poll(&event, 1, Int32(min(left.rounded(.up), 100)))
            if ready == 0 {
                if isDead { throw Failure(words: ending()) }
                isDead = !isRunning
                continue
            }
            if ready < 0 {
                if errno == EINTR { continue }
                throw Failure(words: "cannot be waited for: " + Self.message(errno))
            }
            if event.revents & Int16(POLLOUT) != 0 {
                let count = request[sent...].withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Self.sendFlags) }
                if count > 0 { sent += count }
            }
            guard event.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 else { continue }
            let read = try receive(limit: limit)
            guard read > 0 else { throw Failure(words: ending()) }
            if let end = unread.suffix(read).firstIndex(of: UInt8(ascii: "\n")) {
                guard sent == request.count else { throw Failure(words: "wrote a line before it had read what it was asked") }
                let answer = Array(unread[..<end])
                unread.removeFirst(end + 1)
                return answer
            }
        }
    }

    /// Takes what is there; returns its bytes, 0 at the end of the stream.
    private mutating func receive(limit: Int) throws(Failure) -> Int {
        let chunk = 1 << 16
        let old = unread.count
        unread.append(contentsOf: repeatElement(0, count: chunk))
        let count = unread.withUnsafeMutableBytes { recv(socket, $0.baseAddress! + old, chunk, Int32(MSG_DONTWAIT)) }
        unread.removeLast(chunk - max(count, 0))
        guard unread.count <= limit else { throw Failure(words: "answered with more than \(limit) bytes") }
        return max(count, 0)
    }

    /// How it ended, in words; waits a moment for one that has only closed its output.
    private func ending() -> String {
        var status = siginfo_t()
        for _ in 0..<50 {
            guard waitid(P_PID, id_t(id), &status, WEXITED | WNOHANG | WNOWAIT) == 0 else { break }
            if Self.pid(status) != 0 {
                let code = Self.status(status)
                return status.si_code == Self.exited
                    ? "ended with code \(code)" : "was killed by signal \(code) (\(String(cString: strsignal(code))))"
            }
            usleep(10_000)
        }
        return "closed its standard output"
    }

    /// Ends it and what it has started: with the end of its input, and by force if that does not do within a second.
    deinit {
        close(socket)
        for _ in 0..<100 {
            if !isRunning { break }
            usleep(10_000)
        }
        kill(-id, SIGKILL)
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
    }

    /// Ends it at once.
    consuming func end() { kill(-id, SIGKILL) }

    private static func message(_ code: Int32) -> String { String(cString: strerror(code)) }

    #if canImport(Darwin)
        private static let streamSocket = SOCK_STREAM
        private static let sendFlags = MSG_DONTWAIT
        private static let exited = CLD_EXITED
        private static func pid(_ info: siginfo_t) -> pid_t { info.si_pid }
        private static func status(_ info: siginfo_t) -> Int32 { info.si_status }
    #else
        private static let streamSocket = Int32(SOCK_STREAM.rawValue)
        private static let sendFlags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        private static let exited = Int32(CLD_EXITED)
        private static func pid(_ info: siginfo_t) -> pid_t { info._sifields._sigchld.si_pid }
        private static func status(_ info: siginfo_t) -> Int32 { info._sifields._sigchld.si_status }
    #endif
}
