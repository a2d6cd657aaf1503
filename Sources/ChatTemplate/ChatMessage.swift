public import JSON

/// One message of a conversation: `role` and `content`, and whatever else a template reads (`tool_calls`, `reasoning_content`, `name`...).
public struct ChatMessage: Sendable, Equatable {
    /// The message as JSON.
    public var members: JSONObject

    /// What somebody says.
    public init(role: String, content: String) {
        members = JSONObject([("role", .string(role)), ("content", .string(content))])
    }

    /// A message with everything it has.
    public init(_ members: JSONObject) {
        self.members = members
    }

    /// Who speaks: `system`, `user`, `assistant`, `tool`, or another role that the template knows.
    public var role: String? { members["role"]?.string }

    /// The messages of a JSON array of objects with a role.
    /// - Parameter source: what errors call the text.
    public static func list(_ json: JSONValue, source: String) throws(ChatTemplateError) -> [ChatMessage] {
        guard let array = json.array else { throw ChatTemplateError("\(source): expected a list of messages") }
        var messages: [ChatMessage] = []
        for (index, element) in array.enumerated() {
            guard let members = element.object, members["role"]?.string != nil else {
                throw ChatTemplateError("\(source): message \(index + 1): expected an object with the text \"role\"")
            }
            messages.append(ChatMessage(members))
        }
        return messages
    }

    /// What the model thought, under all the names that templates read it by; transformers does the same.
    var withAliasedReasoning: JSONObject {
        let reasoning = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap { members[$0] }.first { !$0.isNull }
        guard let reasoning else { return members }
        var aliased = members
        aliased["thinking"] = nil
        aliased.members.insert(("thinking", members["thinking"] ?? reasoning), at: 0)
        aliased["reasoning_content"] = reasoning
        return aliased
    }
}
