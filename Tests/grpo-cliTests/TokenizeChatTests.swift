import JSON
import Testing

/// `tokenize --chat`: a conversation through the model's own template.
@Suite struct TokenizeChatTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.write("chat.json", #"[{"role": "system", "content": "S"}, {"role": "user", "content": "The sea"}]"#)
        try workspace.write("tools.json", #"[{"type": "function", "function": {"name": "add"}}]"#)
    }

    private func text(_ more: String...) throws -> String {
        let outcome = try workspace.run(["tokenize", "model", "--chat", "chat.json"] + more)
        #expect(outcome.status == 0 && outcome.errors == "")
        return outcome.output
    }

    /// The model has no template of its own, so plain ChatML.
    @Test func idsAreThoseOfTheText() throws {
        let rendered = try text("--text")
        #expect(rendered == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nThe sea<|im_end|>\n<|im_start|>assistant\n")
        #expect(try text() == workspace.run("tokenize", "model", input: rendered).output)
        // Nobody is waited for after the assistant has spoken.
        try workspace.write("chat.json", #"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#)
        #expect(try text("--text") == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n")
    }

    @Test func theModelsTemplatesAreUsed() throws {
        try workspace.write("model/chat_template.jinja", "{{ messages | map(attribute='content') | join('+') }}{{ tools | tojson }}{{ eos_token }}")
        #expect(try text("--text") == "S+The seanull<|im_end|>")
        #expect(try text("--text", "--tools", "tools.json") == #"S+The sea[{"type": "function", "function": {"name": "add"}}]<|im_end|>"#)
        try workspace.bash("mkdir model/additional_chat_templates")
        try workspace.write("model/additional_chat_templates/tool_use.jinja", "use {{ tools[0].function.name }}")
        try workspace.write("model/additional_chat_templates/rag.jinja", "rag")
        #expect(try text("--text", "--tools", "tools.json") == "use add")
        #expect(try text("--text", "--template", "rag") == "rag")
        expectRefusal(
            try workspace.run("tokenize", "model", "--chat", "chat.json", "--template", "x"), "no chat template \"x\"", "default, rag, tool_use")
    }

    @Test func refusals() throws {
        expectRefusal(try workspace.run("tokenize", "model", "--text"), status: 64, "need --chat")
        expectRefusal(try workspace.run("tokenize", "model", "file", "--chat", "chat.json"), status: 64, "--chat")
        expectRefusal(try workspace.run("tokenize", "model", "--chat", "nowhere.json"), "nowhere.json")
        try workspace.write("broken.json", #"[{"content": "x"}]"#)
        expectRefusal(try workspace.run("tokenize", "model", "--chat", "broken.json"), "broken.json: message 1")
        expectRefusal(try workspace.run("tokenize", "model", "--chat", "chat.json", "--tools", "model/config.json"), "expected a JSON array of tools")
        try workspace.write("model/chat_template.jinja", "\n{{ raise_exception('no system\nrole') }}")
        expectRefusal(try workspace.run("tokenize", "model", "--chat", "chat.json"), "line 2, column 19: no system\\u000arole", "--raw")
        // Text that needs no template is not kept back by one that cannot be read.
        try workspace.write("model/chat_template.jinja", "{% include 'x' %}")
        #expect(try workspace.run("generate", "model", "--prompt", "The sea", "--raw", "--max-new-tokens", "2").status == 0)
        expectRefusal(try workspace.run("generate", "model", "--prompt", "The sea", "--max-new-tokens", "2"), "'include' is not supported")
    }
}
