#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

internal import JSON

extension ChatTemplate {
    /// The templates in a checkpoint's directory: `chat_template.jinja` and `additional_chat_templates`, else those of `tokenizer_config.json`,
    /// else plain ChatML. The special tokens are those of `tokenizer_config.json`.
    /// - Throws: `ChatTemplateError` for a file that cannot be read.
    public init(directory: String) throws(ChatTemplateError) {
        func file(_ name: String) throws(ChatTemplateError) -> [UInt8]? {
            access("\(directory)/\(name)", F_OK) == 0 ? try Self.read("\(directory)/\(name)") : nil
        }
        var configuration: JSONValue?
        if let bytes = try file("tokenizer_config.json") {
            do throws(JSONError) {
                configuration = try JSONValue.parse(bytes, source: "\(directory)/tokenizer_config.json")
            } catch {
                throw ChatTemplateError("\(error)")
            }
        }
        try self.init(
            jinja: try file("chat_template.jinja").map { String(decoding: $0, as: UTF8.self) }, additional: try Self.additional(in: directory),
            tokenizerConfiguration: configuration)
    }

    /// `additional_chat_templates/NAME.jinja` in a checkpoint's directory, by name; none where there is no such folder.
    /// - Throws: `ChatTemplateError` for a file that cannot be read.
    public static func additional(in directory: String) throws(ChatTemplateError) -> [(name: String, text: String)] {
        let folder = "\(directory)/additional_chat_templates"
        let ending = ".jinja"
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var files: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(ending), !name.hasPrefix(".") { files.append(name) }
            guard files.count <= mostTemplates else { throw ChatTemplateError("\(folder): more than \(mostTemplates) templates") }
        }
        var templates: [(name: String, text: String)] = []
        for name in files.sorted() {
            templates.append((String(name.dropLast(ending.count)), String(decoding: try read("\(folder)/\(name)"), as: UTF8.self)))
        }
        return templates
    }

    private static let mostTemplates = 64

    private static func read(_ path: String) throws(ChatTemplateError) -> [UInt8] {
        do throws(JSONError) {
            return try BoundedFile.read(path, limit: JSONLimits().bytes)
        } catch {
            throw ChatTemplateError("\(path): cannot be read: \(error.detail)")
        }
    }
}
