/// A string as Python has it: a sequence of Unicode scalars, compared, counted and cut by scalars.
struct Text: Sendable {
    var scalars: [Unicode.Scalar]
    /// Whether this is HTML that is already escaped, markupsafe's `Markup`, which the filters `safe` and `escape` make.
    var isMarkup = false

    init(_ scalars: some Sequence<Unicode.Scalar>, isMarkup: Bool = false) {
        self.scalars = Array(scalars)
        self.isMarkup = isMarkup
    }

    init(_ string: String) {
        scalars = Array(string.unicodeScalars)
    }

    var count: Int { scalars.count }
    var isEmpty: Bool { scalars.isEmpty }

    /// The same text as Swift has it.
    var string: String {
        var string = String.UnicodeScalarView()
        string.append(contentsOf: scalars)
        return String(string)
    }

    /// Another text that is markup if this one is.
    func with(_ scalars: some Sequence<Unicode.Scalar>) -> Text { Text(scalars, isMarkup: isMarkup) }
}

extension Text: Hashable, Comparable, ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self.init(value) }

    static func == (left: Text, right: Text) -> Bool { left.scalars == right.scalars }

    static func < (left: Text, right: Text) -> Bool { left.scalars.lexicographicallyPrecedes(right.scalars) }

    func hash(into hasher: inout Hasher) {
        scalars.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

extension Text {
    /// Where `part` begins at or after `start`, for a part that is not empty; in time linear in both.
    func firstIndex(of part: [Unicode.Scalar], from start: Int = 0) -> Int? {
        guard let first = part.first, start <= count - part.count else { return nil }
        // Short parts are compared at every place.
        if part.count <= 16 {
            return (start...count - part.count).first { scalars[$0] == first && scalars[$0..<$0 + part.count].elementsEqual(part) }
        }
        // Knuth, Morris and Pratt: for every length that has matched, how much of it may be the beginning of another match.
        var fallback = Array(repeating: 0, count: part.count + 1)
        var matched = 0
        for index in 1..<part.count {
            while matched > 0, part[index] != part[matched] { matched = fallback[matched] }
            if part[index] == part[matched] { matched += 1 }
            fallback[index + 1] = matched
        }
        matched = 0
        for index in start..<count {
            while matched > 0, scalars[index] != part[matched] { matched = fallback[matched] }
            if scalars[index] == part[matched] { matched += 1 }
            if matched == part.count { return index + 1 - matched }
        }
        return nil
    }

    /// Where `part` begins for the last time.
    func lastIndex(of part: [Unicode.Scalar]) -> Int? {
        Text(scalars.reversed()).firstIndex(of: part.reversed()).map { count - $0 - part.count }
    }

    func contains(_ part: Text) -> Bool { part.isEmpty || firstIndex(of: part.scalars) != nil }

    /// The text without the scalars at its ends that `isStripped` says.
    func stripped(leading: Bool = true, trailing: Bool = true, where isStripped: (Unicode.Scalar) -> Bool) -> Text {
        var rest = scalars[...]
        if leading { rest = rest.drop(while: isStripped) }
        if trailing { while let last = rest.last, isStripped(last) { rest.removeLast() } }
        return with(rest)
    }
}

extension Unicode.Scalar {
    /// What Python's `str.isspace` and a regular expression's `\s` hold for white space.
    var isSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Where Python's `str.splitlines` breaks lines.
    var isLineBreak: Bool {
        switch value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    /// A letter, digit or underscore: `\w` of Python's regular expressions.
    var isWord: Bool { self == "_" || isAlphanumeric }

    var isLetter: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    var isAlphanumeric: Bool {
        if isASCII { return ("a"..."z") ~= self || ("A"..."Z") ~= self || ("0"..."9") ~= self }
        return isLetter || properties.numericType != nil
    }

    /// What Python's `repr` writes as it is: not a control, format or private character, nor a separator other than the space.
    var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: self == " "
        default: true
        }
    }
}
