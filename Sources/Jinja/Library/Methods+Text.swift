/// The methods of Python's `str`.
extension Renderer {
    static let stringMethods: [Text: Method] = {
        var methods: [Text: Method] = [:]
        // Without arguments, to a string.
        let conversions: [(Text, @Sendable (Text) -> Text)] = [
            ("upper", { $0.uppercased }), ("lower", { $0.lowercased }), ("capitalize", { $0.capitalized }), ("title", { $0.titlecased }),
            ("swapcase", { $0.caseSwapped }), ("casefold", { $0.caseFolded }),
        ]
        for (name, convert) in conversions {
            methods[name] = method(name, []) { renderer, text, _ throws(JinjaError) in
                try renderer.spend(4 * text.count)
                return .string(convert(text))
            }
        }
        // Without arguments, to a truth value.
        let questions: [(Text, @Sendable (Text) -> Bool)] = [
            ("isdigit", { $0.consists { $0.properties.numericType == .decimal || $0.properties.numericType == .digit } }),
            ("isdecimal", { $0.consists { $0.properties.numericType == .decimal } }),
            ("isnumeric", { $0.consists { $0.properties.numericType != nil } }), ("isalpha", { $0.consists(of: \.isLetter) }),
            ("isalnum", { $0.consists(of: \.isAlphanumeric) }), ("isspace", { $0.consists(of: \.isSpace) }),
            ("isascii", { $0.scalars.allSatisfy(\.isASCII) }), ("isprintable", { $0.scalars.allSatisfy(\.isPrintable) }),
            ("islower", \.isLowercase), ("isupper", \.isUppercase), ("istitle", \.isTitlecase),
        ]
        for (name, ask) in questions {
            methods[name] = method(name, []) { _, text, _ throws(JinjaError) in .bool(ask(text)) }
        }
        for (name, leading, trailing) in [("strip", true, true), ("lstrip", true, false), ("rstrip", false, true)] as [(Text, Bool, Bool)] {
            methods[name] = method(name, ["chars"]) { _, text, arguments throws(JinjaError) in
                let characters = arguments.optional(0) == nil ? nil : try arguments.text(0)
                return .string(text.stripped(of: characters, leading, trailing))
            }
        }
        for (name, isAtStart) in [("startswith", true), ("endswith", false)] as [(Text, Bool)] {
            methods[name] = method(name, ["affix", "start", "end"], required: 1) { renderer, text, arguments throws(JinjaError) in
                let part = try part(of: text, arguments)
                let affixes: [Value]
                if case .tuple(let items)? = arguments[0] { affixes = items.elements } else { affixes = [.string(try arguments.text(0) ?? "")] }
                try renderer.spend(affixes.count)
                for affix in affixes {
                    guard let affix = affix.text else { throw JinjaError("\(name.string)() takes strings, not '\(affix.typeName)'") }
                    try renderer.spend(characters: affix.count)
                    if let part, isAtStart ? part.starts(with: affix.scalars) : part.reversed().starts(with: affix.scalars.reversed()) {
                        return .bool(true)
                    }
                }
                return .bool(false)
            }
        }
        for (name, isLast, isStrict) in [("find", false, false), ("rfind", true, false), ("index", false, true), ("rindex", true, true)]
            as [(Text, Bool, Bool)]
        {
            methods[name] = method(name, ["sub", "start", "end"], required: 1) { _, text, arguments throws(JinjaError) in
                let wanted = try arguments.text(0) ?? ""
                if let part = try part(of: text, arguments) {
                    if wanted.isEmpty { return .integer(isLast ? part.endIndex : part.startIndex) }
                    let rest = Text(part)
                    if let index = isLast ? rest.lastIndex(of: wanted.scalars) : rest.firstIndex(of: wanted.scalars) {
                        return .integer(part.startIndex + index)
                    }
                }
                if isStrict { throw JinjaError("substring not found") }
                return .integer(-1)
            }
        }
        methods["count"] = method("count", ["sub", "start", "end"], required: 1) { _, text, arguments throws(JinjaError) in
            guard let part = try part(of: text, arguments) else { return .integer(0) }
            let wanted = try arguments.text(0) ?? ""
            return .integer(wanted.isEmpty ? part.count + 1 : Text(part).pieces(separatedBy: wanted.scalars).count - 1)
        }
        methods["replace"] = method("replace", ["old", "new", "count"], required: 2) { renderer, text, arguments throws(JinjaError) in
            let new = try arguments.text(1) ?? ""
            return .string(
                try renderer.replacing(
                    try arguments.text(0) ?? "", in: text, with: text.isMarkup ? try renderer.escaped(new) : new, most: try arguments.integer(2)))
        }
        methods["join"] = method("join", ["iterable"], required: 1) { renderer, text, arguments throws(JinjaError) in
            var parts: [Text] = []
            for (index, element) in try renderer.elements(of: arguments[0] ?? .none).enumerated() {
                guard let part = element.text else {
                    throw JinjaError("sequence item \(index): expected str instance, \(element.typeName) found")
                }
                parts.append(text.isMarkup ? try renderer.escaped(part) : part)
            }
            return .string(text.with(try renderer.joined(parts, by: text).scalars))
        }
        for (name, isFromEnd) in [("split", false), ("rsplit", true)] as [(Text, Bool)] {
            methods[name] = method(name, ["sep", "maxsplit"]) { renderer, text, arguments throws(JinjaError) in
                let most = try arguments.integer(1) ?? -1
                guard arguments.optional(0) != nil, let separator = try arguments.text(0) else {
                    return try renderer.list(text.words(most: most, isFromEnd).map { .string(text.with($0)) })
                }
                if separator.isEmpty { throw JinjaError("empty separator") }
                return try renderer.list(
                    text.pieces(separatedBy: separator.scalars, most: most, isFromEnd).map { .string(text.with($0)) })
            }
        }
        methods["splitlines"] = method("splitlines", ["keepends"]) { renderer, text, arguments throws(JinjaError) in
            try renderer.list(text.lines(keepingEnds: arguments.isTrue(0)).map { .string(text.with($0)) })
        }
        for (name, isFromEnd) in [("partition", false), ("rpartition", true)] as [(Text, Bool)] {
            methods[name] = method(name, ["sep"], required: 1) { renderer, text, arguments throws(JinjaError) in
                let separator = try arguments.text(0) ?? ""
                if separator.isEmpty { throw JinjaError("empty separator") }
                let pieces = text.pieces(separatedBy: separator.scalars, most: 1, isFromEnd)
                let parts: [ArraySlice<Unicode.Scalar>] =
                    pieces.count == 2 ? [pieces[0], separator.scalars[...], pieces[1]] : isFromEnd ? [[], [], pieces[0]] : [pieces[0], [], []]
                return try renderer.tuple(parts.map { .string(text.with($0)) })
            }
        }
        for (name, alignment) in [("ljust", .left), ("rjust", .right), ("center", .center)] as [(Text, Text.Alignment)] {
            methods[name] = method(name, ["width", "fillchar"], required: 1) { renderer, text, arguments throws(JinjaError) in
                let fill = try arguments.text(1) ?? " "
                guard fill.count == 1 else { throw JinjaError("the fill character must be exactly one character long") }
                return .string(try renderer.padded(text, to: try arguments.integer(0) ?? 0, alignment, with: fill.scalars[0]))
            }
        }
        methods["zfill"] = method("zfill", ["width"], required: 1) { renderer, text, arguments throws(JinjaError) in
            let sign = text.scalars.prefix { $0 == "+" || $0 == "-" }.prefix(1)
            let width = try arguments.integer(0) ?? 0
            let digits = try renderer.padded(Text(text.scalars.dropFirst(sign.count)), to: max(0, width) - sign.count, .right, with: "0")
            return .string(text.with(sign + digits.scalars))
        }
        methods["removeprefix"] = method("removeprefix", ["prefix"], required: 1) { _, text, arguments throws(JinjaError) in
            let prefix = try arguments.text(0)?.scalars ?? []
            return .string(text.scalars.starts(with: prefix) ? text.with(text.scalars.dropFirst(prefix.count)) : text)
        }
        methods["removesuffix"] = method("removesuffix", ["suffix"], required: 1) { _, text, arguments throws(JinjaError) in
            let suffix = try arguments.text(0)?.scalars ?? []
            return .string(text.scalars.reversed().starts(with: suffix.reversed()) ? text.with(text.scalars.dropLast(suffix.count)) : text)
        }
        for name in ["encode", "expandtabs", "format", "format_map", "isidentifier", "maketrans", "translate"] as [Text] {
            methods[name] = unsupported(name)
        }
        return methods
    }()

    /// A method of strings whose arguments are bound, and whose receiver is paid for.
    private static func method(
        _ name: Text, _ parameters: [Text], required: Int = 0,
        _ body: @escaping @Sendable (Renderer, Text, BoundArguments) throws(JinjaError) -> Value
    ) -> Method {
        { renderer, value, arguments throws(JinjaError) in
            guard let text = value.text else { throw JinjaError("the method '\(name.string)' belongs to strings") }
            try renderer.spend(characters: text.count)
            return try body(renderer, text, try arguments.bound(to: parameters, required: required, of: name))
        }
    }

    /// The part of a text that the arguments `start` and `end`, the second and third, leave; nil if `start` lies behind the text.
    private static func part(of text: Text, _ arguments: BoundArguments) throws(JinjaError) -> ArraySlice<Unicode.Scalar>? {
        func bound(_ index: Int, absent: Int) throws(JinjaError) -> Int {
            guard arguments.optional(index) != nil, let bound = try arguments.integer(index) else { return absent }
            return bound < 0 ? max(0, bound + text.count) : bound
        }
        let start = try bound(1, absent: 0)
        let end = min(text.count, try bound(2, absent: text.count))
        return start <= end ? text.scalars[start..<end] : nil
    }

    // MARK: What filters use as well

    func joined(_ parts: [Text], by separator: Text) throws(JinjaError) -> Text {
        var scalars: [Unicode.Scalar] = []
        for (index, part) in parts.enumerated() {
            try spend(characters: part.count + separator.count)
            if index > 0 { scalars += separator.scalars }
            scalars += part.scalars
        }
        return Text(scalars)
    }

    /// The text with at most `most` occurrences of a part replaced, all if negative or nil.
    func replacing(_ old: Text, in text: Text, with new: Text, most: Int?) throws(JinjaError) -> Text {
        try spend(characters: text.count)
        let most = most.flatMap { $0 < 0 ? nil : $0 } ?? Int.max
        if old.isEmpty {
            // Between all characters and at both ends.
            var scalars: [Unicode.Scalar] = []
            let places = min(most, text.count + 1)
            let (added, overflow) = places.multipliedReportingOverflow(by: new.count)
            try spend(characters: overflow ? Int.max / 2 : added)
            for index in 0...text.count {
                if index < places { scalars += new.scalars }
                if index < text.count { scalars.append(text.scalars[index]) }
            }
            return text.with(scalars)
        }
        let pieces = text.pieces(separatedBy: old.scalars, most: most == Int.max ? -1 : most)
        return text.with(try joined(pieces.map { Text($0) }, by: new).scalars)
    }

    func padded(_ text: Text, to width: Int, _ alignment: Text.Alignment, with fill: Unicode.Scalar) throws(JinjaError) -> Text {
        guard width > text.count else { return text }
        try spend(characters: width)
        let missing = width - text.count
        let left =
            switch alignment {
            case .left: 0
            case .right: missing
            // Where it cannot be even, CPython puts the odd one by the width's parity.
            case .center: missing / 2 + (missing & width & 1)
            }
        return text.with(Array(repeating: fill, count: left) + text.scalars + Array(repeating: fill, count: missing - left))
    }

    /// markupsafe's `escape`: markup stays as it is.
    func escaped(_ text: Text) throws(JinjaError) -> Text {
        if text.isMarkup { return text }
        try spend(characters: 2 * text.count)
        var scalars: [Unicode.Scalar] = []
        for scalar in text.scalars {
            switch scalar {
            case "&": scalars += Array("&amp;".unicodeScalars)
            case "<": scalars += Array("&lt;".unicodeScalars)
            case ">": scalars += Array("&gt;".unicodeScalars)
            case "'": scalars += Array("&#39;".unicodeScalars)
            case "\"": scalars += Array("&#34;".unicodeScalars)
            default: scalars.append(scalar)
            }
        }
        return Text(scalars, isMarkup: true)
    }
}
