// libFuzzer around one reader: fuzzer TARGET [libFuzzer's flags, corpora, inputs]. Seeds (in `seeds`), and the files that are read, go into the working directory.
import CLibFuzzer
import Glibc

guard CommandLine.arguments.count > 1, let target = Target(rawValue: CommandLine.arguments[1]) else {
    print("fuzzer \(Target.allCases.map(\.rawValue).joined(separator: "|")) [libFuzzer's flags, corpora, inputs]")
    exit(64)
}
do {
    try Seeds.write(for: target)
} catch {
    print("the seeds cannot be written: \(error)")
    exit(1)
}

let words = [CommandLine.arguments[0]] + CommandLine.arguments[2...]
var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
var count = CInt(words.count)
exit(
    arguments.withUnsafeMutableBufferPointer { buffer in
        var start = buffer.baseAddress!
        return LLVMFuzzerRunDriver(&count, &start) { data, size in
            do {
                try Target.current.read(UnsafeRawBufferPointer(start: data, count: size))
            } catch {
                precondition(!"\(error)".contains("\n"), "an error of more than one line: \(error)")
            }
            return 0
        }
    })

/// Half of the mutations of a tokenizer keep it JSON; everything else is libFuzzer's own.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int, _ seed: UInt32) -> Int {
    guard Target.current == .tokenizer, seed & 1 == 0 else { return LLVMFuzzerMutate(data, size, limit) }
    var fuzzing = TokenizerFuzzing(random: SeededGenerator(state: UInt64(seed)))
    let file = fuzzing.mutation(of: Array(UnsafeBufferPointer(start: data, count: size))).prefix(limit)
    _ = UnsafeMutableBufferPointer(start: data, count: limit).update(fromContentsOf: file)
    return file.count
}
