import ChatTemplate
import JSON
import Testing

@Suite struct ChatTemplateTests {
    @Test func rendersAsJinja2() throws {
        let goldens = try JSONValue.parse(Array(chatTemplateGoldens.utf8), source: "goldens").array ?? []
        var compared = 0
        for golden in goldens {
            let name = golden["name"]?.string ?? ""
            let template = try ChatTemplate(source: try #require(golden["source"]?.string))
            for row in golden["rows"]?.array ?? [] {
                let messages = try (row["messages"]?.array ?? []).map { turn in
                    let turn = try #require(turn.array)
                    return ChatMessage(
                        role: try #require(ChatMessage.Role(rawValue: turn[0].string ?? "")), content: try #require(turn[1].string))
                }
                #expect(template.render(messages, addGenerationPrompt: false) == row["text"]?.string, "\(name)")
                #expect(template.render(messages, addGenerationPrompt: true) == row["prompted"]?.string, "\(name)")
                compared += 1
            }
        }
        #expect(compared > 150)
    }

    @Test func findsTheDefaultSystemMessage() throws {
        let goldens = try JSONValue.parse(Array(chatTemplateGoldens.utf8), source: "goldens").array ?? []
        let found = try goldens.map { try ChatTemplate(source: $0["source"]?.string).defaultSystemMessage }
        #expect(
            found == [
                "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "You are a helpful assistant.",
                "You are a helpful assistant.",
                "It's you: \"Bot\".\nBe brief.", nil,
            ])
    }

    @Test func noTemplateIsPlainChatML() throws {
        let template = try ChatTemplate(source: nil)
        #expect(
            template.render([ChatMessage(role: .user, content: "Hi")], addGenerationPrompt: true)
                == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        #expect(template.render([], addGenerationPrompt: false) == "")
    }

    @Test(arguments: [
        "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}", "",
        "<|im_start|>{{ messages[0].content.split('</think>') }}<think>", "<|im_start|>{{ message.content | trim }}",
        String(repeating: "<|im_start|>", count: 30_000),
    ])
    func refusesOtherTemplates(source: String) {
        let error = #expect(throws: ChatTemplateError.self) { try ChatTemplate(source: source) }
        #expect(error?.description.contains("\n") == false)
    }

    @Test func takesTheTemplateFromWhereTransformersDoes() throws {
        let config: JSONValue = ["chat_template": "c"]
        #expect(try ChatTemplate.source(jinja: "j", tokenizerConfig: config) == "j")
        #expect(try ChatTemplate.source(jinja: nil, tokenizerConfig: config) == "c")
        #expect(try ChatTemplate.source(jinja: nil, tokenizerConfig: ["chat_template": nil]) == nil)
        #expect(try ChatTemplate.source(jinja: nil, tokenizerConfig: nil) == nil)
        let named: JSONValue = ["chat_template": [["name": "rag", "template": "r"], ["name": "default", "template": "d"]]]
        #expect(try ChatTemplate.source(jinja: nil, tokenizerConfig: named) == "d")
        #expect(throws: ChatTemplateError.self) { try ChatTemplate.source(jinja: nil, tokenizerConfig: ["chat_template": 1]) }
        #expect(throws: ChatTemplateError.self) { try ChatTemplate.source(jinja: nil, tokenizerConfig: ["chat_template": []]) }
    }
}
