public import JSON

/// Metrics between two lines of the log: every value recorded under a name, averaged when the line is written.
public struct Metrics: Sendable {
    private var values: [(name: String, sum: Double, count: Int)] = []
    private var places: [String: Int] = [:]

    /// Nothing recorded.
    public init() {}

    /// Adds a value; one that is NaN is left out of the average.
    public mutating func record(_ name: String, _ value: Double) {
        let place = places[name] ?? values.count
        if place == values.count {
            places[name] = place
            values.append((name, 0, 0))
        }
        if value.isNaN { return }
        values[place].sum += value
        values[place].count += 1
    }

    /// Adds several values.
    public mutating func record(_ metrics: some Sequence<(name: String, value: Double)>) {
        for (name, value) in metrics { record(name, value) }
    }

    /// TRL's metrics of a generation batch's completion lengths; a truncated completion is one that no end token ended.
    ///
    /// `completions/mean_length`, `min_length`, `max_length`, `clipped_ratio`, and `mean_`, `min_`, `max_terminated_length` (0 when none ended).
    public mutating func record(completionLengths lengths: [Int], truncated: [Bool]) {
        precondition(lengths.count == truncated.count && !lengths.isEmpty, "one length and one flag a completion")
        func mean(_ lengths: [Int]) -> Double { Double(lengths.reduce(0, +)) / Double(max(lengths.count, 1)) }
        let ended = zip(lengths, truncated).filter { !$0.1 }.map(\.0)
        record("completions/mean_length", mean(lengths))
        record("completions/min_length", Double(lengths.min() ?? 0))
        record("completions/max_length", Double(lengths.max() ?? 0))
        record("completions/clipped_ratio", Double(lengths.count - ended.count) / Double(lengths.count))
        record("completions/mean_terminated_length", mean(ended))
        record("completions/min_terminated_length", Double(ended.min() ?? 0))
        record("completions/max_terminated_length", Double(ended.max() ?? 0))
    }

    /// What has been recorded since the last line, to go on from.
    var json: JSONValue {
        .array(values.map { [.string($0.name), .number($0.sum), .integer(Int64($0.count))] })
    }

    /// What `json` wrote; nil for anything else.
    init?(_ json: JSONValue) {
        for item in json.array ?? [.null] {
            guard let parts = item.array, parts.count == 3, let name = parts[0].string, let sum = parts[1].double, let count = parts[2].int else {
                return nil
            }
            places[name] = values.count
            values.append((name, sum, count))
        }
    }

    /// The averages in the order in which the names came, null where every value was NaN; then forgets everything.
    public mutating func drain() -> JSONObject {
        let averages = values.map { (key: $0.name, value: $0.count == 0 ? JSONValue.null : .number($0.sum / Double($0.count))) }
        self = Metrics()
        return JSONObject(averages)
    }
}
