// Reads mutated checkpoints in one process: format_fuzzer SECONDS SEED BASE FILE... A FILE is model.safetensors of a plain, packed, delta or quantised export, or a GGUF
// file; BASE the checkpoint that a delta is based on. Each turn mutates one of them, opens it and reads everything. A crash (or what a sanitizer finds) ends the
// process, the input still in `last-input` of the working directory; a turn that takes longer than a second is told.
import Checkpoints
import Foundation
import Glibc

let arguments = CommandLine.arguments
guard arguments.count > 4, let seconds = Double(arguments[1]), let seed = UInt64(arguments[2]) else {
    print("format_fuzzer SECONDS SEED BASE FILE...")
    exit(64)
}

/// SplitMix64.
struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

var random = Random(state: seed)
let base = try Checkpoint(opening: arguments[3], anyModel: true)
let files = try arguments[4...].map { (path: $0, bytes: [UInt8](try Data(contentsOf: URL(fileURLWithPath: $0)))) }
let numbers: [UInt64] = [0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 62, 1 << 63, .max, .max - 7]

/// Most mutations hit the header, where the decisions are made.
@MainActor func mutated(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    let header = min(bytes.count, 20_000)
    for _ in 0..<Int.random(in: 1...6, using: &random) {
        guard !bytes.isEmpty else { break }
        let at = Int.random(in: 0..<(Int.random(in: 0..<4, using: &random) > 0 ? min(header, bytes.count) : bytes.count), using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
        case 3: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...16, using: &random)))
        case 4: bytes.insert(contentsOf: (0..<Int.random(in: 1...16, using: &random)).map { _ in UInt8.random(in: 32...126, using: &random) }, at: at)
        case 5:
            let number = numbers.randomElement(using: &random)!
            for (offset, byte) in withUnsafeBytes(of: number.littleEndian, Array.init).enumerated() where at + offset < bytes.count {
                bytes[at + offset] = byte
            }
        default:
            let digits = Array("\(numbers.randomElement(using: &random)!)".utf8)
            for (offset, digit) in digits.enumerated() where at + offset < bytes.count && (48...57).contains(bytes[at + offset]) {
                bytes[at + offset] = digit
            }
        }
    }
    return bytes
}

/// Opens and reads everything; the numbers are thrown away.
@MainActor func read(_ path: String) {
    do {
        let checkpoint = try Checkpoint(opening: path, anyModel: true, base: base)
        for name in checkpoint.companionNames { _ = try? checkpoint.companion(name) }
        for tensor in checkpoint.tensors {
            if tensor.isNumeric { _ = try? checkpoint.statistics(of: tensor.name) }
        }
        _ = try checkpoint.fingerprint()
    } catch {
        precondition(!"\(error)".contains("\n"), "an error of more than one line: \(error)")
    }
}

let started = Date()
var turns = 0
while Date().timeIntervalSince(started) < seconds {
    let file = files.randomElement(using: &random)!
    let bytes = mutated(file.bytes)
    let name = file.path.hasSuffix(".gguf") ? "last-input.gguf" : "last-input.safetensors"
    unlink(name)
    guard FileManager.default.createFile(atPath: name, contents: Data(bytes)) else { exit(1) }
    let begun = Date()
    read(name)
    let took = Date().timeIntervalSince(begun)
    if took > 1 { print("slow: turn \(turns), \(file.path), \(took) s") }
    turns += 1
}
print("\(turns) turns in \(Int(seconds)) s, no finding")
