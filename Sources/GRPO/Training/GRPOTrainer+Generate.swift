internal import Logging
internal import Qwen2

extension GRPOTrainer {
    /// The next generation batch: completions, rewards, advantages, and what later steps need of the policy that made them.
    func generate(step: Int, clock: inout PhaseClock) throws -> GenerationBatch {
        var rollouts: [Rollout]
        var tape: RolloutTape?
        let table: WeightedRewards.Table
        switch source.kind {
        case .sampling(let dataset, let promptIDs, let rewards):
            let rows = source.next()
            tape = rolloutTape(rows.map { promptIDs[$0] })
            rollouts = sample(rows, dataset: dataset, promptIDs: promptIDs, step: step, tape: tape)
            clock.end("generate")
            var state = RewardState()
            (state.step, state.maxSteps) = (step - 1, plan.totalSteps)
            (state.epoch, state.epochs) = (Double(step - 1) / Double(plan.stepsPerEpoch), configuration.epochs)
            let batch = RewardBatch(
                prompts: rollouts.compactMap(\.prompt), completions: rollouts.map { $0.text ?? "" }, completionIDs: rollouts.map(\.ids),
                columns: rollouts.map { dataset.rows[rows[$0.group]].columns }, state: state)
            table = try rewards.evaluate(batch)
            for warning in table.warnings { logger.warning("step \(step): \(warning)") }
        case .replay(let batches, let names, let weights):
            rollouts = batches[source.next()[0]]
            let values = names.map { name in rollouts.map { $0.rewards.first { $0.name == name }?.value } }
            table = WeightedRewards.Table(names: names, weights: weights, values: values)
        }
        clock.end("reward")
        record(rollouts, table)
        judge(&rollouts, table)
        progress(.judged(rollouts))

        let truncated = rollouts.map { isTruncated($0) }
        let oldLogps = plan.needsOldLogps ? oldLogps(of: rollouts) : nil
        let referenceLogps = configuration.beta == 0 ? nil : reference.map { logps(of: rollouts, under: $0) }
        clock.end("forward")
        return GenerationBatch(
            rollouts: rollouts, counts: truncated.map { !(configuration.maskTruncatedCompletions && $0) }, oldLogps: oldLogps,
            referenceLogps: referenceLogps, tape: tape)
    }

    /// In bfloat16 sampling is the training forward; it is kept if memory allows, at most for what the batch could need.
    private func rolloutTape(_ prompts: [[Int32]]) -> RolloutTape? {
        guard configuration.dtype == .bfloat16 else { return nil }
        let wanted = prompts.reduce(0) { $0 + $1.count } + prompts.count * plan.generations * configuration.maxCompletionLength
        let capacity = min(wanted, memory.tapeTokens)
        guard capacity > 0 else { return nil }
        return RolloutTape(
            policy.model, completions: prompts.map { _ in plan.generations }, capacity: capacity, temperature: Float(configuration.temperature))
    }

    private func sample(_ rows: [Int], dataset: PromptDataset, promptIDs: [[Int32]], step: Int, tape: RolloutTape?) -> [Rollout] {
        let requests = rows.map { GenerationRequest(prompt: promptIDs[$0], count: plan.generations, stream: UInt64($0 * plan.generations)) }
        let total = rows.count * plan.generations
        let completions = policy.model.generate(
            requests, sampling, generation: UInt32(truncatingIfNeeded: step), tape: tape,
            progress: { state in
                self.progress(.generating(step: step, tokens: state.tokens, active: state.active, completions: total))
            })
        return zip(rows, completions).enumerated().flatMap { group, item in
            item.1.map { completion in
                Rollout(
                    step: step, group: group, prompt: dataset.rows[item.0].prompt, promptIDs: promptIDs[item.0], ids: completion.ids,
                    logprobs: completion.logprobs, text: policy.text(of: completion.ids), finishReason: completion.finishReason.rawValue, rewards: [])
            }
        }
    }

    /// Rewards and advantages into the records; groups may lie anywhere in the batch.
    private func judge(_ rollouts: inout [Rollout], _ table: WeightedRewards.Table) {
        let order = rollouts.indices.sorted { (rollouts[$0].group, $0) < (rollouts[$1].group, $1) }
        let advantages =
            switch configuration.rewardAggregation {
            case .sumThenNormalize:
                Advantages(rewards: order.map { table.totals[$0] }, groupSize: plan.generations, scale: configuration.scaleRewards)
            case .normalizeThenSum:
                Advantages(
                    rewardsByFunction: table.values.map { rewards in order.map { rewards[$0] } }, weights: table.weights, groupSize: plan.generations)
            }
        for (place, index) in order.enumerated() {
            rollouts[index].rewards = table.rewards(of: index)
            rollouts[index].reward = table.totals[index]
            rollouts[index].extra = table.extra(of: index)
            rollouts[index].advantage = advantages.values[place]
        }
        metrics.record("frac_reward_zero_std", advantages.zeroDeviationShare)
        if advantages.zeroDeviationShare == 1 {
            logger.warning("step \(rollouts.first?.step ?? 0): in every group all rewards are equal, so this generation teaches nothing")
        }
    }

    private func record(_ rollouts: [Rollout], _ table: WeightedRewards.Table) {
        tokens += rollouts.reduce(0) { $0 + $1.promptIDs.count + $1.ids.count }
        metrics.record(completionLengths: rollouts.map(\.ids.count), truncated: rollouts.map { isTruncated($0) })
        metrics.record(table.metrics)
    }

    private func isTruncated(_ rollout: Rollout) -> Bool { !(rollout.ids.last.map(sampling.endTokens.contains) ?? false) }

    /// The sampler's log-probabilities where they are the trainer's, bit for bit; otherwise a forward pass, as TRL makes it.
    private func oldLogps(of rollouts: [Rollout]) -> [[Float]] {
        if configuration.dtype == .bfloat16 || isReplay, rollouts.allSatisfy({ $0.logprobs != nil }) { return rollouts.compactMap(\.logprobs) }
        return logps(of: rollouts, under: policy.model)
    }

    /// Log-probabilities of every completion's tokens under a model, a micro-batch at a time.
    private func logps(of rollouts: [Rollout], under model: Qwen2Model) -> [[Float]] {
        var result = rollouts.map { _ in [Float]() }
        for first in stride(from: 0, to: rollouts.count, by: plan.microBatchSize) {
            let part = MicroBatch(rollouts, first..<min(first + plan.microBatchSize, rollouts.count), generations: plan.generations)
            var logps = model.score(part.groups, temperature: Float(configuration.temperature)).logprobs[...]
            for index in part.rollouts {
                result[index] = Array(logps.prefix(rollouts[index].ids.count))
                logps = logps.dropFirst(rollouts[index].ids.count)
            }
        }
        return result
    }

    private var isReplay: Bool {
        if case .replay = source.kind { true } else { false }
    }
}
