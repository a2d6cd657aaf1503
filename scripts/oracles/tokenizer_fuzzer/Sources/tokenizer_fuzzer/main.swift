// Loads and uses mutated tokenizers in one process: tokenizer_fuzzer SECONDS SEED FILE... A FILE is a tokenizer.json, or a file of lines each with a "tokenizer".
// A crash (or what a sanitizer finds) ends the process, the input still in `last-input.json` of the working directory; a turn longer than two seconds is told.
import Foundation
import Glibc
import JSON

let arguments = CommandLine.arguments
guard arguments.count > 3, let seconds = Double(arguments[1]), let seed = UInt64(arguments[2]) else {
    print("tokenizer_fuzzer SECONDS SEED FILE...")
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

let seeds = try arguments[3...].flatMap { path in
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let lines = bytes.split(separator: UInt8(ascii: "\n")).compactMap { try? JSONValue.parse(Array($0), source: path)["tokenizer"] }
    return lines.isEmpty ? [bytes] : lines.map { Array($0.serialized().utf8) }
}
var fuzzing = TokenizerFuzzing(seeds: seeds, random: Random(state: seed))
let last = open("last-input.json", O_RDWR | O_CREAT, 0o644)
let started = Date()
var (turns, problems) = (0, 0)
while Date().timeIntervalSince(started) < seconds {
    let began = Date()
    do {
        try fuzzing.turn { file in
            ftruncate(last, 0)
            _ = file.withUnsafeBytes { pwrite(last, $0.baseAddress, $0.count, 0) }
        }
    } catch {
        problems += 1
        print("\(error)\n\(String(decoding: fuzzing.file, as: UTF8.self).prefix(4000))")
    }
    let took = Date().timeIntervalSince(began)
    if took > 2 {
        problems += 1
        print("slow: \(took) s, turn \(turns)\n\(String(decoding: fuzzing.file, as: UTF8.self).prefix(4000))")
    }
    turns += 1
}
print("\(turns) files, \(fuzzing.loaded) of them loaded: \(problems) problems")
exit(problems > 0 ? 1 : 0)
