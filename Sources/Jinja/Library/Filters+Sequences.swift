/// Filters about lists, and about what is undefined.
extension Renderer {
    static let sequenceFilters: [Text: Filter] = [
        "default": defaulting("default"),
        "d": defaulting("d"),
        "length": filter("length", []) { renderer, value, _ throws(JinjaError) in .integer(try renderer.length(of: value)) },
        "count": filter("count", []) { renderer, value, _ throws(JinjaError) in .integer(try renderer.length(of: value)) },
        "list": filter("list", []) { renderer, value, _ throws(JinjaError) in try renderer.list(try renderer.elements(of: value)) },
        "first": filter("first", []) { renderer, value, _ throws(JinjaError) in
            if case .object(let object) = value, let iterator = object as? Iterator, let first = iterator.next() { return first }
            return try renderer.elements(of: value).first ?? .undefined(Undefined("no first item, the sequence was empty"))
        },
        "last": filter("last", []) { renderer, value, _ throws(JinjaError) in
            if case .object(let object) = value, object is Iterator { throw JinjaError("'\(object.typeName)' object is not reversible") }
            return try renderer.elements(of: value).last ?? .undefined(Undefined("no last item, the sequence was empty"))
        },
        "reverse": filter("reverse", []) { renderer, value, _ throws(JinjaError) in
            if case .string(let text) = value { return .string(text.with(text.scalars.reversed())) }
            let isIterator = if case .object(let object) = value { object is Iterator } else { false }
            let elements = Array(try renderer.elements(of: value).reversed())
            return isIterator ? try renderer.list(elements) : try renderer.iterator(elements, typeName: "\(value.typeName)_reverseiterator")
        },
        "items": filter("items", []) { renderer, value, _ throws(JinjaError) in
            if case .undefined = value { return try renderer.iterator([]) }
            guard value.dictionary != nil else { throw JinjaError("can only get item pairs from a mapping") }
            return try renderer.iterator(try renderer.pairs(of: value))
        },
        "attr": filter("attr", ["name"], required: 1) { renderer, value, arguments throws(JinjaError) in
            let name = try arguments.text(0) ?? ""
            if case .undefined(let undefined) = value { throw undefined.error }
            return try renderer.ownAttribute(name, of: value)
                ?? .undefined(Undefined("'\(value.kindName)' has no attribute '\(name.string)'"))
        },
        "sort": filter("sort", ["reverse", "case_sensitive", "attribute"]) { renderer, value, arguments throws(JinjaError) in
            let key = try renderer.sortKey(arguments.optional(2), isCaseSensitive: arguments.isTrue(1))
            return try renderer.list(try renderer.sorted(try renderer.elements(of: value), isReversed: arguments.isTrue(0), by: key))
        },
        "dictsort": filter("dictsort", ["case_sensitive", "by", "reverse"]) { renderer, value, arguments throws(JinjaError) in
            if case .undefined(let undefined) = value { throw undefined.error }
            guard let dictionary = value.dictionary else { throw JinjaError("dictsort: expected a mapping, not '\(value.typeName)'") }
            let by = try arguments.text(1) ?? "key"
            guard by == "key" || by == "value" else { throw JinjaError("you can only sort by either 'key' or 'value'") }
            let isCaseSensitive = arguments.isTrue(0)
            let entries = try renderer.sorted(dictionary.entries, isReversed: arguments.isTrue(2)) { entry throws(JinjaError) in
                let key = by == "key" ? entry.key : entry.value
                return isCaseSensitive ? key : key.ignoringCase
            }
            var pairs: [Value] = []
            for (key, value) in entries { pairs.append(try renderer.tuple([key, value])) }
            return try renderer.list(pairs)
        },
        "unique": filter("unique", ["case_sensitive", "attribute"]) { renderer, value, arguments throws(JinjaError) in
            var seen: Set<Key> = []
            var kept: [Value] = []
            for element in try renderer.elements(of: value) {
                let attribute = try renderer.attribute(arguments.optional(1), of: element)
                if seen.insert(try Key(arguments.isTrue(0) ? attribute : attribute.ignoringCase)).inserted { kept.append(element) }
            }
            return try renderer.iterator(kept)
        },
        "min": extreme("min") { renderer, key, best throws(JinjaError) in try renderer.isOrdered(key, before: best) },
        "max": extreme("max") { renderer, key, best throws(JinjaError) in try renderer.isOrdered(best, before: key) },
        "sum": filter("sum", ["attribute", "start"]) { renderer, value, arguments throws(JinjaError) in
            var sum = arguments[1] ?? .integer(0)
            if sum.text != nil { throw JinjaError("sum() can't sum strings") }
            for element in try renderer.elements(of: value) {
                sum = try renderer.compute(sum, .add, try renderer.attribute(arguments.optional(0), of: element))
            }
            return sum
        },
        "batch": filter("batch", ["linecount", "fill_with"], required: 1) { renderer, value, arguments throws(JinjaError) in
            let elements = try renderer.elements(of: value)
            let size = try arguments.integer(0) ?? 1
            guard size > 0 else { throw JinjaError("batch: expected at least 1 element in a batch, not \(size)") }
            var batches: [Value] = []
            for start in stride(from: 0, to: elements.count, by: size) {
                var batch = Array(elements[start...].prefix(size))
                if let fill = arguments.optional(1) {
                    try renderer.spend(size - batch.count)
                    batch += Array(repeating: fill, count: size - batch.count)
                }
                batches.append(try renderer.list(batch))
            }
            return try renderer.iterator(batches)
        },
        "slice": filter("slice", ["slices", "fill_with"], required: 1) { renderer, value, arguments throws(JinjaError) in
            let elements = try renderer.elements(of: value)
            let count = try arguments.integer(0) ?? 1
            guard count > 0 else { throw JinjaError("slice: expected at least 1 slice, not \(count)") }
            try renderer.spend(count)
            // The first slices are one longer if it does not come out even; the others are filled up.
            let (size, longer) = elements.count.quotientAndRemainder(dividingBy: count)
            var slices: [Value] = []
            var start = 0
            for index in 0..<count {
                let end = start + size + (index < longer ? 1 : 0)
                var slice = Array(elements[start..<end])
                if let fill = arguments.optional(1), index >= longer { slice.append(fill) }
                slices.append(try renderer.list(slice))
                start = end
            }
            return try renderer.iterator(slices)
        },
        "groupby": filter("groupby", ["attribute", "default", "case_sensitive"], required: 1) { renderer, value, arguments throws(JinjaError) in
            func key(_ element: Value) throws(JinjaError) -> Value {
                try renderer.attribute(arguments.optional(0), of: element, default: arguments.optional(1))
            }
            func sortKey(_ element: Value) throws(JinjaError) -> Value {
                let key = try key(element)
                return arguments.isTrue(2) ? key : key.ignoringCase
            }
            var groups: [(key: Value, elements: [Value])] = []
            for element in try renderer.sorted(try renderer.elements(of: value), by: sortKey) {
                let key = try sortKey(element)
                if let last = groups.last, try renderer.equal(last.key, key) {
                    groups[groups.count - 1].elements.append(element)
                } else {
                    groups.append((key, [element]))
                }
            }
            var result: [Value] = []
            for group in groups { result.append(try renderer.group(try key(group.elements[0]), group.elements)) }
            return try renderer.list(result)
        },
    ]

    private static func defaulting(_ name: Text) -> Filter {
        filter(name, ["default_value", "boolean"]) { _, value, arguments throws(JinjaError) in
            if case .undefined = value { return arguments[0] ?? .string("") }
            return arguments.isTrue(1) && !value.isTrue ? arguments[0] ?? .string("") : value
        }
    }

    private static func extreme(_ name: Text, _ isBetter: @escaping @Sendable (Renderer, Value, Value) throws(JinjaError) -> Bool) -> Filter {
        filter(name, ["case_sensitive", "attribute"]) { renderer, value, arguments throws(JinjaError) in
            var best: (element: Value, key: Value)?
            for element in try renderer.elements(of: value) {
                let attribute = try renderer.attribute(arguments.optional(1), of: element)
                let key = arguments.isTrue(0) ? attribute : attribute.ignoringCase
                if let known = best, !(try isBetter(renderer, key, known.key)) { continue }
                best = (element, key)
            }
            return best?.element ?? .undefined(Undefined("no aggregated item, the sequence was empty"))
        }
    }

    // MARK: Attributes

    /// What a filter's argument `attribute` names: `"a.b.0"`, an index, or nil for the value itself.
    func attribute(_ path: Value?, of value: Value, default fallback: Value? = nil) throws(JinjaError) -> Value {
        guard let path else { return value }
        var value = value
        for part in path.text.map(Self.parts) ?? [path] {
            value = try item(part, of: value)
            if let fallback, case .undefined = value { value = fallback }
        }
        return value
    }

    private static func parts(of path: Text) -> [Value] {
        path.scalars.split(separator: ".", omittingEmptySubsequences: false).map { part in
            part.allSatisfy { ("0"..."9") ~= $0 } ? Int(Text(part).string).map(Value.integer) ?? .string(Text(part)) : .string(Text(part))
        }
    }

    /// The key of a sort by one or several attributes, `"a,b.c"`.
    private func sortKey(_ attributes: Value?, isCaseSensitive: Bool) throws(JinjaError) -> (Value) throws(JinjaError) -> Value {
        let paths: [Value?] =
            attributes?.text.map { $0.scalars.split(separator: ",", omittingEmptySubsequences: false).map { .string(Text($0)) } } ?? [attributes]
        return { element throws(JinjaError) in
            var keys: [Value] = []
            for path in paths {
                let key = try self.attribute(path, of: element)
                keys.append(isCaseSensitive ? key : key.ignoringCase)
            }
            return try self.list(keys)
        }
    }

    // MARK: Sorting

    /// Sorts by keys, those that are equal in the order in which they came.
    func sorted<Element>(_ elements: [Element], isReversed: Bool = false, by key: (Element) throws(JinjaError) -> Value)
        throws(JinjaError) -> [Element]
    {
        var keyed: [(key: Value, element: Element)] = []
        for element in elements { keyed.append((try key(element), element)) }
        // Python reverses before and after, which keeps equal ones in order.
        if isReversed { keyed.reverse() }
        var width = 1
        while width < keyed.count {
            var merged: [(key: Value, element: Element)] = []
            merged.reserveCapacity(keyed.count)
            for start in stride(from: 0, to: keyed.count, by: 2 * width) {
                var left = start
                let middle = min(start + width, keyed.count)
                var right = middle
                let end = min(start + 2 * width, keyed.count)
                while left < middle, right < end {
                    try spend(1)
                    if try isOrdered(keyed[right].key, before: keyed[left].key) {
                        merged.append(keyed[right])
                        right += 1
                    } else {
                        merged.append(keyed[left])
                        left += 1
                    }
                }
                merged += keyed[left..<middle] + keyed[right..<end]
            }
            keyed = merged
            width *= 2
        }
        if isReversed { keyed.reverse() }
        return keyed.map(\.element)
    }
}

extension Value {
    /// Small letters, if this is a string: how Jinja2 compares by default.
    var ignoringCase: Value {
        if case .string(let text) = self { return .string(text.lowercased) }
        return self
    }
}
