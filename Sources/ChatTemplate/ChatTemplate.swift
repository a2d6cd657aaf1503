/// How a checkpoint writes a conversation down as text for the model to continue.
///
/// A template is a Jinja program. The programs of the ChatML family (Qwen2, Qwen2.5 and their fine-tunes) all write
/// `<|im_start|>role\ncontent<|im_end|>\n` a turn and differ in the system message they put before a conversation that has none;
/// those are recognised, and rendered as Jinja2 renders them, without running the program. Others are refused.
public struct ChatTemplate: Sendable {
    /// What is put in front as a system turn if the first message is not one; nil puts nothing.
    public let defaultSystemMessage: String?

    private static let turnStart = "<|im_start|>"
    private static let turnEnd = "<|im_end|>"
    private static let longestSource = 256 << 10

    /// Recognises a template by its text; nil, for a checkpoint without one, is plain ChatML.
    public init(source: String?) throws(ChatTemplateError) {
        guard let source else {
            defaultSystemMessage = nil
            return
        }
        guard source.utf8.count <= Self.longestSource else {
            throw ChatTemplateError(description: "the chat template has \(source.utf8.count) bytes, more than the \(Self.longestSource) allowed")
        }
        let text = Array(source.utf8)
        guard text.contains(Self.turnStart) else { throw Self.unsupported("it has no <|im_start|>, so it is not of the ChatML family") }
        // What these write around or into a message depends on the conversation, beyond ChatML.
        for marker in ["<think>", "reasoning_content", "strftime_now", "trim", ".strip(", ".split("] where text.contains(marker) {
            throw Self.unsupported("it uses '\(marker)', which plain ChatML does not have")
        }
        defaultSystemMessage = Self.defaultSystemMessage(in: text)
    }

    /// The conversation as text; with `addGenerationPrompt` it ends where the assistant's answer starts.
    public func render(_ messages: [ChatMessage], addGenerationPrompt: Bool) -> String {
        var text = ""
        if let defaultSystemMessage, let first = messages.first, first.role != .system {
            text += Self.turn(.system, defaultSystemMessage)
        }
        for message in messages { text += Self.turn(message.role, message.content) }
        if addGenerationPrompt { text += "\(Self.turnStart)assistant\n" }
        return text
    }

    private static func turn(_ role: ChatMessage.Role, _ content: String) -> String {
        "\(turnStart)\(role.rawValue)\n\(content)\(turnEnd)\n"
    }

    private static func unsupported(_ reason: String) -> ChatTemplateError {
        ChatTemplateError(
            description: "this chat template is not supported: \(reason); general templates are not supported yet; "
                + "give the finished prompt as text with --raw")
    }

    /// The message in the first string literal `<|im_start|>system\n MESSAGE <|im_end|>`; nil if there is no such literal.
    ///
    /// Qwen2.5 writes `'<|im_start|>system\n' + messages[0]['content'] + …` as well: there a quote comes first, so it is passed over.
    private static func defaultSystemMessage(in text: [UInt8]) -> String? {
        let head = Array("\(turnStart)system".utf8)
        let end = Array(turnEnd.utf8)
        for start in text.indices where text[start...].starts(with: head) {
            var message: [UInt8] = []
            var position = start + head.count
            while position < text.count, text[position] != UInt8(ascii: "'"), text[position] != UInt8(ascii: "\"") {
                if text[position...].starts(with: end) {
                    // The line break behind "system" is the turn's, not the message's.
                    guard message.first == UInt8(ascii: "\n") else { break }
                    return String(decoding: message.dropFirst(), as: UTF8.self)
                }
                // Inside a Jinja literal a line break is either itself or a backslash and a letter; so is an escaped quote.
                if text[position] == UInt8(ascii: "\\"), position + 1 < text.count {
                    position += 1
                    message.append(text[position] == UInt8(ascii: "n") ? UInt8(ascii: "\n") : text[position])
                } else {
                    message.append(text[position])
                }
                position += 1
            }
        }
        return nil
    }
}

extension [UInt8] {
    /// Whether the bytes contain a text.
    fileprivate func contains(_ text: String) -> Bool {
        let wanted = Array(text.utf8)
        return indices.contains { self[$0...].starts(with: wanted) }
    }
}
