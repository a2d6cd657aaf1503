/// `namespace()`: the one thing that an assignment can change from inside a loop.
final class Namespace: RuntimeObject {
    private var attributes: [(name: Text, value: Value)] = []
    private var index: [Text: Int] = [:]

    override var typeName: String { "jinja2.utils.Namespace" }

    override func attribute(_ name: Text, _ renderer: Renderer) throws(JinjaError) -> Value? {
        index[name].map { attributes[$0].value }
    }

    /// - Throws: for a name that begins with an underscore, which transformers refuses.
    func set(_ name: Text, _ value: Value) throws(JinjaError) {
        guard name.scalars.first != "_" else {
            throw JinjaError("a namespace cannot have the attribute '\(name.string)': it begins with an underscore")
        }
        if let place = index[name] {
            attributes[place].value = value
        } else {
            index[name] = attributes.count
            attributes.append((name, value))
        }
    }

    /// Lets go of all values, which may hold this namespace.
    func clear() {
        attributes = []
        index = [:]
    }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text {
        var text: Text = "<Namespace {"
        for (index, attribute) in attributes.enumerated() {
            if index > 0 { text.scalars += [",", " "] }
            text.scalars += attribute.name.representation.scalars + [":", " "]
            text.scalars += try renderer.representation(of: attribute.value, depth: depth + 1).scalars
        }
        text.scalars += ["}", ">"]
        return text
    }
}
