/// How many ratios the clipping has made flat, in all and by completion. At the level of sequences a completion has one ratio.
struct RatioMetrics {
    private var ratios = 0
    private var low = 0
    private var high = 0
    private var lowestLow = Double.nan
    private var highestHigh = Double.nan

    /// Adds a completion with so many ratios, so many of them flat.
    mutating func add(ratios: Int, low: Int, high: Int) {
        self.ratios += ratios
        self.low += low
        self.high += high
        guard ratios > 0 else { return }
        // IEEE minimum and maximum of a number and NaN are the number.
        lowestLow = Double.minimum(lowestLow, Double(low) / Double(ratios))
        highestHigh = Double.maximum(highestHigh, Double(high) / Double(ratios))
    }

    /// TRL's metrics of a loss that clips on both sides.
    var clipped: [(name: String, value: Double)] {
        let all = Double(max(ratios, 1))
        return [
            ("clip_ratio/low_mean", Double(low) / all), ("clip_ratio/low_min", lowestLow),
            ("clip_ratio/high_mean", Double(high) / all), ("clip_ratio/high_max", highestHigh),
            ("clip_ratio/region_mean", Double(low + high) / all),
        ]
    }

    /// The share of ratios that are flat above.
    var highShare: Double { Double(high) / Double(max(ratios, 1)) }
}
