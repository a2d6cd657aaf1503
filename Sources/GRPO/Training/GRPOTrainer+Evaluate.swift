internal import JSON
internal import Logging
internal import Qwen2

extension GRPOTrainer {
    /// Completions that are generated together at least, so that a small `per_device_eval_batch_size` does not make the decoder narrow.
    private static let width = 64

    /// Completes the held-out prompts, judges the completions, and gives the line of metrics: those of training under TRL's names, `eval_` before each.
    ///
    /// The random numbers are the same in every evaluation, so that two of them differ by the policy alone.
    func evaluate(_ set: EvaluationSet) throws -> JSONObject {
        let started = ContinuousClock.now
        let group = configuration.evaluationGenerations
        let prompts = max(configuration.evaluationBatchSize / group, 1)
        let together = max(prompts, Self.width / group / prompts * prompts)
        var metrics = Metrics()
        for first in stride(from: 0, to: set.promptIDs.count, by: together) {
            let rows = Array(first..<min(first + together, set.promptIDs.count))
            let requests = rows.map { GenerationRequest(prompt: set.promptIDs[$0], count: group, stream: UInt64($0 * group)) }
            let rules = answerRules(requests)
            let completions = policy.model.generate(
                requests, sampling, generation: .max, shouldStop: rules?.shouldStop, allowed: rules?.allowed)
            for batch in stride(from: 0, to: rows.count, by: prompts) {
                let part = batch..<min(batch + prompts, rows.count)
                try evaluate(set, rows: Array(rows[part]), completions: Array(completions[part]), into: &metrics)
            }
            progress(.evaluating(step: state.step, done: rows.count + first, of: set.promptIDs.count))
        }
        var line = JSONObject([("step", .integer(Int64(state.step))), ("epoch", .number(epoch))])
        line.members += metrics.drain().members.map { ("eval_" + $0.key, $0.value) }
        line["eval_runtime"] = .number((ContinuousClock.now - started) / .seconds(1))
        return line
    }

    private func evaluate(_ set: EvaluationSet, rows: [Int], completions: [[Completion]], into metrics: inout Metrics) throws {
        let group = configuration.evaluationGenerations
        var rollouts = rolloutRecords(rows, set.dataset, set.promptIDs, completions)
        let table = try set.rewards.evaluate(rewardBatch(rollouts, rollouts.map { set.dataset.rows[rows[$0.group]].columns }))
        for warning in table.warnings { logger.warning("evaluation at step \(state.step): \(warning)") }
        let advantages = Advantages(table, order: Array(rollouts.indices), groupSize: group, configuration)
        for index in rollouts.indices { rollouts[index].advantage = advantages.values[index] }
        let truncated = rollouts.map { isTruncated($0) }
        metrics.record(completionLengths: rollouts.map(\.ids.count), truncated: truncated)
        metrics.record(table.metrics)
        metrics.record("frac_reward_zero_std", advantages.zeroDeviationShare)
        // On policy: the loss says little, its parts (kl, entropy) do.
        let batch = GenerationBatch(
            rollouts: rollouts, counts: truncated.map { !(configuration.maskTruncatedCompletions && $0) }, oldLogps: nil,
            referenceLogps: referenceLogps(of: rollouts, groupSize: group), tape: nil)
        let whole = MicroBatch(rollouts, 0..<rollouts.count, generations: group)
        let statistics = policy.model.score(whole.groups, temperature: Float(configuration.temperature))
        let objective = batch.objectiveBatch(whole, statistics)
        let result = configuration.objective.evaluate(objective, in: .init(microBatches: 1, lossTokens: objective.lossTokens))
        metrics.record("loss", result.loss)
        metrics.record(result.metrics)
    }

    /// Keeps the step if its evaluation is the best so far, and says whether it is.
    func noteBest(_ line: JSONObject) throws -> Bool {
        guard configuration.metricForBestModel != nil || configuration.loadsBestModel else { return false }
        let name = configuration.bestMetricName
        guard let value = line[name] else {
            let known = line.members.map(\.key).filter { $0.hasPrefix("eval_") }.joined(separator: ", ")
            throw ConfigurationError(message: "metric_for_best_model: an evaluation has no \(name), only \(known)")
        }
        guard let metric = value.double else { return false }
        let isBetter = state.best.map { configuration.isGreaterBetter ? metric > $0.metric : metric < $0.metric } ?? true
        if isBetter { state.best = BestModel(metric: metric, step: state.step) }
        return isBetter
    }
}
