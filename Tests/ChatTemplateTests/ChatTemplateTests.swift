import ChatTemplate
import Foundation
import JSON
import Testing

@Suite struct ChatTemplateTests {
    /// The templates of the Qwen family and ChatML.
    @Test func rendersAsJinja2() throws {
        let goldens = try JSONValue.parse(Array(chatTemplateGoldens.utf8), source: "goldens").array ?? []
        var compared = 0
        for golden in goldens {
            let name = golden["name"]?.string ?? ""
            let template = ChatTemplate([("default", try #require(golden["source"]?.string))])
            for row in golden["rows"]?.array ?? [] {
                let messages = try (row["messages"]?.array ?? []).map { turn in
                    let turn = try #require(turn.array)
                    return ChatMessage(role: try #require(turn[0].string), content: try #require(turn[1].string))
                }
                #expect(try template.render(messages, addGenerationPrompt: false).text == row["text"]?.string, "\(name)")
                #expect(try template.render(messages, addGenerationPrompt: true).text == row["prompted"]?.string, "\(name)")
                compared += 1
            }
        }
        #expect(compared > 150)
    }

    private let hi = ChatMessage(role: "user", content: "Hi")

    @Test func noTemplateIsPlainChatML() throws {
        let template = try ChatTemplate(tokenizerConfiguration: nil)
        #expect(try template.render([hi], addGenerationPrompt: true).text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        #expect(try template.render([], addGenerationPrompt: false).text == "")
        #expect(try ChatTemplate(tokenizerConfiguration: ["chat_template": nil]).names == ["default"])
    }

    @Test func takesTheTemplateFromWhereTransformersDoes() throws {
        let config: JSONValue = ["chat_template": "c"]
        func text(_ template: ChatTemplate, _ name: String? = nil, tools: [JSONValue]? = nil) throws -> String {
            try template.render([hi], tools: tools, addGenerationPrompt: false, template: name).text
        }
        #expect(try text(ChatTemplate(jinja: "j", tokenizerConfiguration: config)) == "j")
        #expect(try text(ChatTemplate(tokenizerConfiguration: config)) == "c")
        let named: JSONValue = [
            "chat_template": [
                ["name": "rag", "template": "r"], ["name": "default", "template": "old"], ["name": "default", "template": "d"],
                ["name": "tool_use", "template": "t"],
            ]
        ]
        let several = try ChatTemplate(tokenizerConfiguration: named)
        #expect(several.names == ["rag", "default", "tool_use"])
        #expect(try [text(several), text(several, "rag"), text(several, tools: []), text(several, "default", tools: [])] == ["d", "r", "t", "d"])
        let beside = try ChatTemplate(jinja: "j", additional: [("tool_use", "u")], tokenizerConfiguration: named)
        #expect(try [text(beside), text(beside, tools: [["name": "f"]])] == ["j", "u"])
        let error = #expect(throws: ChatTemplateError.self) { try text(several, "nope") }
        #expect(error?.description == "there is no chat template \"nope\"; there are: rag, default, tool_use")
        #expect(throws: ChatTemplateError.self) { try text(ChatTemplate(tokenizerConfiguration: ["chat_template": []])) }
        for broken in [1, [["name": "a"]], ["text"]] as [JSONValue] {
            #expect(throws: ChatTemplateError.self) { try ChatTemplate(tokenizerConfiguration: ["chat_template": broken]) }
        }
    }

    @Test func readsADirectory() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("templates-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ name: String, _ text: String) throws {
            let file = folder.appendingPathComponent(name)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        func text(tools: [JSONValue]? = nil, _ name: String? = nil) throws -> String {
            try ChatTemplate(directory: folder.path).render([hi], tools: tools, addGenerationPrompt: false, template: name).text
        }
        #expect(try ChatTemplate(directory: folder.path).names == ["default"])
        try write("tokenizer_config.json", #"{"chat_template": "c{{ eos_token }}", "eos_token": "</s>"}"#)
        #expect(try text() == "c</s>")
        try write("chat_template.jinja", "j{{ eos_token }}")
        try write("additional_chat_templates/tool_use.jinja", "t")
        try write("additional_chat_templates/rag.jinja", "r")
        try write("additional_chat_templates/notes.txt", "n")
        #expect(try [text(), text(tools: []), text("rag")] == ["j</s>", "t", "r"])
        #expect(try ChatTemplate(directory: folder.path).names == ["default", "rag", "tool_use"])
        try write("tokenizer_config.json", "{")
        let error = #expect(throws: ChatTemplateError.self) { try ChatTemplate(directory: folder.path) }
        #expect(error?.description.contains("tokenizer_config.json") == true)
    }

    @Test func givesTheVariablesOfTransformers() throws {
        let source = """
            {{ bos_token }}{{ eos_token }}{{ image_token }}{{ pad_token is defined }} {{ tools is none }}{{ documents is none }}{{ add_generation_prompt }} \
            {{ enable_thinking }}{{ messages[0] | tojson }}
            """
        let template = try ChatTemplate(
            jinja: source,
            tokenizerConfiguration: [
                "bos_token": "<s>", "eos_token": ["content": "</s>", "lstrip": false], "pad_token": nil,
                "extra_special_tokens": ["image_token": "<i>"],
            ])
        let text = try template.render([hi], addGenerationPrompt: true, variables: JSONObject([("enable_thinking", false)])).text
        #expect(text == #"<s></s><i>False TrueTrueTrue False{"role": "user", "content": "Hi"}"#)
        let full = ChatTemplate([("default", "{{ tools[0].name }}{{ documents[0].title }}")])
        #expect(try full.render([], tools: [["name": "f"]], documents: [["title": "T"]], addGenerationPrompt: false).text == "fT")
    }

    /// Older names for what the model thought are read as well, and gpt-oss reads `thinking`.
    @Test(
        arguments: [
            (["role": "a", "reasoning": "r"], #"{"thinking": "r", "role": "a", "reasoning": "r", "reasoning_content": "r"}"#),
            (["thinking": "t", "role": "a"], #"{"thinking": "t", "role": "a", "reasoning_content": "t"}"#),
            (["reasoning_content": "c", "role": "a", "thinking": "t"], #"{"thinking": "t", "reasoning_content": "c", "role": "a"}"#),
            (["role": "a", "reasoning": nil], #"{"role": "a", "reasoning": null}"#),
        ] as [(JSONValue, String)])
    func givesReasoningAllItsNames(message: JSONValue, expected: String) throws {
        let template = ChatTemplate([("default", "{{ messages[0] | tojson }}")])
        let messages = try ChatMessage.list([message], source: "m")
        #expect(try template.render(messages, addGenerationPrompt: false).text == expected)
    }

    @Test func marksWhatTheAssistantSays() throws {
        let source = """
            {% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}
            {% endfor %}
            """
        let messages = [hi, ChatMessage(role: "assistant", content: "hé"), ChatMessage(role: "assistant", content: "ho")]
        let rendering = try ChatTemplate([("default", source)]).render(messages, addGenerationPrompt: false)
        #expect(rendering.assistant.map { String(decoding: Array(rendering.text.utf8)[$0], as: UTF8.self) } == ["hé!", "ho!"])
    }

    /// A template that cannot be read is no obstacle until it is used, and says then what is wrong with it.
    @Test(arguments: [
        ("{% for m in messages %}", "line 1, column 4: the block 'for' is not closed"),
        ("\n{% include 'x' %}", "line 2, column 4: the tag 'include'"),
        ("{{ raise_exception('no\nsystem \u{1b}[0m') }}", "no\\u000asystem \\u001b[0m"),
        ("{{ messages[0].content.nope.nope }}", "has no attribute 'nope'"),
    ])
    func refusesInOneLine(source: String, words: String) throws {
        let template = ChatTemplate([("default", source)])
        let error = #expect(throws: ChatTemplateError.self) { try template.render([hi], addGenerationPrompt: false) }
        #expect(error?.description.hasPrefix("the chat template: ") == true)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("\n") == false)
    }

    @Test func messagesAreObjectsWithARole() throws {
        #expect(try ChatMessage.list([["role": "tool", "content": nil]], source: "m").first?.role == "tool")
        for (json, words) in [("x", "m: expected a list"), ([["content": "x"]], "m: message 1: "), ([["role": "a"], 1], "message 2")]
            as [(JSONValue, String)]
        {
            let error = #expect(throws: ChatTemplateError.self) { try ChatMessage.list(json, source: "m") }
            #expect(error?.description.contains(words) == true)
        }
    }
}
