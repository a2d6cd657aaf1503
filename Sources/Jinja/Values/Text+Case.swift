/// Python's letter cases.
extension Text {
    var uppercased: Text {
        if scalars.allSatisfy(\.isASCII) { return with(scalars.map { ("a"..."z") ~= $0 ? Unicode.Scalar(UInt8($0.value) - 32) : $0 }) }
        return with(scalars.flatMap { $0.properties.uppercaseMapping.unicodeScalars })
    }

    var lowercased: Text {
        if scalars.allSatisfy(\.isASCII) { return with(scalars.map { ("A"..."Z") ~= $0 ? Unicode.Scalar(UInt8($0.value) + 32) : $0 }) }
        return with(scalars.indices.flatMap { lowercase(at: $0) })
    }

    /// The first letter as in a title, the others small.
    var capitalized: Text {
        with(scalars.indices.flatMap { $0 == 0 ? Array(scalars[0].properties.titlecaseMapping.unicodeScalars) : lowercase(at: $0) })
    }

    /// Every letter after something without case as in a title, the others small.
    var titlecased: Text {
        with(
            scalars.indices.flatMap { index in
                index > 0 && scalars[index - 1].properties.isCased
                    ? lowercase(at: index) : Array(scalars[index].properties.titlecaseMapping.unicodeScalars)
            })
    }

    var caseSwapped: Text {
        with(
            scalars.indices.flatMap { index in
                let properties = scalars[index].properties
                if properties.isUppercase { return lowercase(at: index) }
                return properties.isLowercase ? Array(properties.uppercaseMapping.unicodeScalars) : [scalars[index]]
            })
    }

    /// Case folding as far as small letters go, and the two that templates could meet beyond: ß and ς.
    var caseFolded: Text {
        with(
            scalars.flatMap { scalar -> [Unicode.Scalar] in
                switch scalar {
                case "ß", "ẞ": ["s", "s"]
                case "ς": ["σ"]
                default: Array(scalar.properties.lowercaseMapping.unicodeScalars)
                }
            })
    }

    /// The small letter; a capital sigma at the end of a word is ς.
    private func lowercase(at index: Int) -> [Unicode.Scalar] {
        let scalar = scalars[index]
        if scalar.isASCII { return [("A"..."Z") ~= scalar ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar] }
        if scalar == "Σ" {
            let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
            let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
            let isFinal = before?.properties.isCased ?? false && !(after?.properties.isCased ?? false)
            return [isFinal ? "ς" : "σ"]
        }
        return Array(scalar.properties.lowercaseMapping.unicodeScalars)
    }

    var isLowercase: Bool {
        scalars.contains(where: \.properties.isLowercase) && !scalars.contains { $0.properties.isUppercase || $0.isTitlecase }
    }

    var isUppercase: Bool {
        scalars.contains(where: \.properties.isUppercase) && !scalars.contains { $0.properties.isLowercase || $0.isTitlecase }
    }

    var isTitlecase: Bool {
        var hasCased = false
        var isAfterCased = false
        for scalar in scalars {
            let isCapital = scalar.properties.isUppercase || scalar.isTitlecase
            let isSmall = scalar.properties.isLowercase
            if isCapital ? isAfterCased : isSmall && !isAfterCased { return false }
            isAfterCased = isCapital || isSmall
            hasCased = hasCased || isAfterCased
        }
        return hasCased
    }
}

extension Unicode.Scalar {
    fileprivate var isTitlecase: Bool { properties.generalCategory == .titlecaseLetter }
}
