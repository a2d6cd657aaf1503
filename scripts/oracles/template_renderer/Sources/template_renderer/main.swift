// Reads a JSON object a line and writes one: {"text", "generations"} or {"error"}, and the "seconds" that it computed.
// {"template", "variables"} renders plainly, {"template", "messages", "tools", "documents", "add_generation_prompt", "variables"} as a chat.
import ChatTemplate
import Glibc
import JSON
import Jinja

func computed() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func render(_ row: JSONValue) throws -> (text: String, generations: [Range<Int>]) {
    let text = row["template"]?.string ?? ""
    let variables = row["variables"]?.object ?? JSONObject()
    guard let messages = row["messages"] else {
        let rendering = try JinjaTemplate(text).render(variables)
        return (rendering.text, rendering.generations)
    }
    let chat = try ChatTemplate([("default", text)]).render(
        ChatMessage.list(messages, source: "messages"), tools: row["tools"]?.array, documents: row["documents"]?.array,
        addGenerationPrompt: row["add_generation_prompt"]?.bool ?? false, variables: variables)
    return (chat.text, chat.assistant)
}

while let line = readLine() {
    var answer = JSONObject()
    var start = 0.0
    do {
        let row = try JSONValue.parse(Array(line.utf8), source: "line")
        start = computed()
        let rendering = try render(row)
        answer["text"] = .string(rendering.text)
        answer["generations"] = .array(rendering.generations.map { [.integer(Int64($0.lowerBound)), .integer(Int64($0.upperBound))] })
    } catch {
        answer["error"] = .string("\(error)")
    }
    answer["seconds"] = .number(computed() - start)
    print(JSONValue.object(answer).serialized())
}
