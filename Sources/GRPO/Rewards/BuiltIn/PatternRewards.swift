internal import JSON

// Rewards for a form, of TRL, open-r1 and our own.

extension RewardFunction where Self == ClosureReward {
    /// TRL's `think_format_reward`: 1 for one `<think>` at the very beginning and a `</think>` behind it, else 0.
    ///
    /// Python's `re.match(r"^<think>(?!.*<think>)(.*?)</think>.*$", text, re.DOTALL | re.MULTILINE)`.
    static var thinkFormat: Self {
        .text("think_format_reward") { text in
            guard text.starts(with: Tag.think), text.firstOccurrence(of: Tag.think, from: Tag.think.count) == nil else { return 0 }
            return text.firstOccurrence(of: Tag.endThink, from: Tag.think.count) == nil ? 0 : 1
        }
    }

    /// open-r1's `format_reward`: 1 for thoughts and answer between tags on lines of their own, else 0.
    static var strictFormat: Self {
        pattern("format_reward", #"(?sm)^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>$"#)
    }

    /// open-r1's `code_format_reward`: `format_reward` with a fenced block of code in the answer, of the row's `language` if it has one.
    static func codeFormat(language: String) -> Self {
        ClosureReward("code_format_reward") { batch in
            var patterns: [String: TextPattern] = [:]
            return try zip(batch.completions, batch.columns).map { text, columns in
                let language = columns["language"]?.string ?? language
                let literal = language.unicodeScalars.map { ScalarSet.word.contains($0) ? String($0) : "\\\($0)" }.joined()
                let pattern =
                    try patterns[language] ?? TextPattern(#"(?sm)^<think>\n.*?\n</think>\n<answer>\n.*?```"# + literal + #".*?```.*?\n</answer>$"#)
                patterns[language] = pattern
                return pattern.matches(startOf: Array(text.unicodeScalars)) ? 1 : 0
            }
        }
    }

    /// open-r1's `tag_count_reward`: a quarter for each of the four tags that is there exactly once, with its newlines.
    static var tagCount: Self {
        let tags = ["<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>"].map { Array($0.unicodeScalars) }
        return .text("tag_count_reward") { text in 0.25 * Double(tags.filter { text.occurrences(of: $0) == 1 }.count) }
    }

    /// open-r1's `reasoning_steps_reward`: a third for each `Step 1:`, bullet or `First,`, at most 1; `1.` counts at the beginning of the text.
    static var reasoningSteps: Self {
        let step = Result { try TextPattern(#"Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,"#) }
        return ClosureReward("reasoning_steps_reward") { batch in
            let step = try step.get()
            return batch.completions.map { min(1, Double(step.count(in: Array($0.unicodeScalars))) / 3) }
        }
    }

    /// 1 where a regular expression matches somewhere in the completion (Python's `re.search`), else 0.
    static func regex(_ pattern: String) throws(ConfigurationError) -> Self {
        do {
            let compiled = try TextPattern(pattern)
            return .text("regex") { compiled.matches(in: $0) ? 1 : 0 }
        } catch {
            throw ConfigurationError(message: "regex_reward_pattern: \(error)")
        }
    }

    /// 1 where the completion, or what stands in its last fenced block, is valid JSON, else 0.
    static var json: Self {
        .text("json") { text in
            let fence = Array("```".unicodeScalars)
            var content = text[...]
            if let close = text.lastOccurrence(of: fence, before: text.count), let open = text.lastOccurrence(of: fence, before: close) {
                content = text[(open + fence.count)..<close].drop { !$0.isPythonSpace && $0 != "{" && $0 != "[" && $0 != "\"" }
            }
            let bytes = Array(String(String.UnicodeScalarView(content)).utf8)
            return (try? JSONValue.parse(bytes, source: "completion")) == nil ? 0 : 1
        }
    }

    private static func pattern(_ name: String, _ pattern: String) -> Self {
        let compiled = Result { try TextPattern(pattern) }
        return ClosureReward(name) { batch in
            let compiled = try compiled.get()
            return batch.completions.map { compiled.matches(startOf: Array($0.unicodeScalars)) ? 1 : 0 }
        }
    }

    private static func text(_ name: String, _ judge: @escaping @Sendable ([Unicode.Scalar]) -> Double) -> Self {
        ClosureReward(name) { batch in batch.completions.map { judge(Array($0.unicodeScalars)) } }
    }
}

extension [Unicode.Scalar] {
    /// How often a text is in this one, one behind the other (Python's `str.count`).
    fileprivate func occurrences(of text: [Unicode.Scalar]) -> Int {
        var (count, position) = (0, 0)
        while let found = firstOccurrence(of: text, from: position) { (count, position) = (count + 1, found + text.count) }
        return count
    }

    /// Where `text` begins for the last time, all of it before `end`.
    func lastOccurrence(of text: [Unicode.Scalar], before end: Int) -> Int? {
        guard end >= text.count else { return nil }
        return (0...end - text.count).last { self[$0] == text[0] && self[$0..<$0 + text.count].elementsEqual(text) }
    }
}
