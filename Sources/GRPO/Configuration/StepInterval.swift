/// A distance between optimizer steps, as transformers writes it: a number of steps, or below 1 a share of the run.
public enum StepInterval: Sendable, Equatable {
    /// Every so many steps.
    case steps(Int)
    /// Every such share of all steps, rounded up.
    case share(Double)

    /// The distance in a run of so many steps; at least 1.
    public func steps(of total: Int) -> Int {
        switch self {
        case .steps(let steps): max(1, steps)
        case .share(let share): max(1, Int((share * Double(total)).rounded(.up)))
        }
    }
}

extension StepInterval: ConfigurationValue {
    static var expected: String { "a whole number of at least 1, or a share of all steps between 0 and 1" }

    init?(raw: RawValue) {
        guard let number = Double(raw: raw), number > 0, number <= 1e15 else { return nil }
        if number < 1 {
            self = .share(number)
        } else {
            guard number == number.rounded() else { return nil }
            self = .steps(Int(number))
        }
    }

    var yaml: String {
        switch self {
        case .steps(let steps): steps.yaml
        case .share(let share): share.yaml
        }
    }
}
