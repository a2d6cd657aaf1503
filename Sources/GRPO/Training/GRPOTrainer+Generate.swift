internal import JSON
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
            (rollouts, table, tape) = try draw(dataset, promptIDs, rewards, step: step, clock: &clock)
        case .replay(let batches, let names, let weights):
            rollouts = batches[source.next()[0]]
            let values = names.map { name in rollouts.map { $0.rewards.first { $0.name == name }?.value } }
            table = WeightedRewards.Table(names: names, weights: weights, values: values)
            record(rollouts, table)
        }
        judge(&rollouts, table)
        progress(.judged(rollouts))

        let live = GroupSpread.live(rollouts)
        let isDropped = rollouts.map { configuration.deadGroups != .keep && !live.contains($0.group) }
        if configuration.deadGroups != .keep { metrics.record("dropped_groups", Double(plan.promptsPerGeneration - live.count)) }
        let truncated = rollouts.map { isTruncated($0) }
        let alarms = self.alarms.noteGeneration(
            clipped: Double(truncated.count { $0 }) / Double(truncated.count),
            withoutSpread: 1 - Double(live.count) / Double(plan.promptsPerGeneration),
            rewards: table.totals, limit: plan.maxCompletionLength)
        for alarm in alarms { logger.warning("step \(step): \(alarm)") }
        let oldLogps = plan.needsOldLogps ? oldLogps(of: rollouts) : nil
        let referenceLogps = referenceLogps(of: rollouts, groupSize: plan.generations)
        clock.end("forward")
        let counts = zip(truncated, isDropped).map { !(configuration.maskTruncatedCompletions && $0) && !$1 }
        return GenerationBatch(rollouts: rollouts, counts: counts, oldLogps: oldLogps, referenceLogps: referenceLogps, tape: tape)
    }

    /// Completions for the next prompts, with their rewards. With `zero_std_groups: resample` groups whose rewards are all equal give way to those of
    /// further prompts, until none is left or `max_resample_attempts` are used up.
    private func draw(
        _ dataset: PromptDataset, _ promptIDs: [[Int32]], _ rewards: WeightedRewards, step: Int, clock: inout PhaseClock
    ) throws -> (rollouts: [Rollout], table: WeightedRewards.Table, tape: RolloutTape?) {
        var live: [[Rollout]] = []
        var dead: [[Rollout]] = []
        var attempt = 0
        while true {
            defer { attempt += 1 }
            let rows = source.next()
            let tape = attempt == 0 ? rolloutTape(rows.map { promptIDs[$0] }) : nil
            var rollouts = sample(rows, dataset: dataset, promptIDs: promptIDs, step: step, attempt: attempt, tape: tape)
            clock.end("generate")
            let table = try rewards.evaluate(rewardBatch(rollouts, rollouts.map { dataset.rows[rows[$0.group]].columns }))
            for warning in table.warnings { logger.warning("step \(step): \(warning)") }
            clock.end("reward")
            record(rollouts, table)
            for index in rollouts.indices { rollouts[index].take(table, index) }
            let teaching = GroupSpread.live(rollouts)
            guard configuration.deadGroups == .resample, attempt > 0 || teaching.count < rows.count else { return (rollouts, table, tape) }

            if attempt > 0 { state.generations += 1 }
            for group in rows.indices {
                let members = rollouts.filter { $0.group == group }
                if teaching.contains(group) { live.append(members) } else { dead.append(members) }
            }
            guard live.count >= rows.count || attempt == configuration.resampleAttempts else { continue }
            metrics.record("resampled_groups", Double(live.count + dead.count - rows.count))
            var kept = (live + dead).prefix(rows.count).enumerated().flatMap { group, members in
                members.map { member in
                    var member = member
                    member.group = group
                    return member
                }
            }
            for index in kept.indices { kept[index].step = step }
            let values = table.names.map { name in kept.map { $0.rewards.first { $0.name == name }?.value } }
            return (kept, WeightedRewards.Table(names: table.names, weights: table.weights, values: values), nil)
        }
    }

    /// Sampling is the training forward, unless that drops out; it is kept if memory allows, at most for what the batch could need.
    private func rolloutTape(_ prompts: [[Int32]]) -> RolloutTape? {
        guard !dropsOut else { return nil }
        let wanted = prompts.reduce(0) { $0 + $1.count } + prompts.count * plan.generations * configuration.maxCompletionLength
        let capacity = min(wanted, memory.tapeTokens)
        guard capacity > 0 else { return nil }
        return RolloutTape(
            policy.model, completions: prompts.map { _ in plan.generations }, capacity: capacity, logitTokens: memory.logitTokens,
            temperature: Float(configuration.temperature), recomputes: memory.recomputes)
    }

    private func sample(_ rows: [Int], dataset: PromptDataset, promptIDs: [[Int32]], step: Int, attempt: Int, tape: RolloutTape?) -> [Rollout] {
        let requests = rows.map { GenerationRequest(prompt: promptIDs[$0], count: plan.generations, stream: UInt64($0 * plan.generations)) }
        let total = rows.count * plan.generations
        let rules = answerRules(requests)
        let completions = policy.model.generate(
            requests, sampling, generation: UInt32(truncatingIfNeeded: step | attempt << 24), tape: tape,
            shouldStop: rules?.shouldStop, allowed: rules?.allowed,
            progress: { state in
                self.progress(.generating(step: step, tokens: state.tokens, active: state.active, completions: total))
            })
        return rolloutRecords(rows, dataset, promptIDs, completions)
    }

    /// Stop strings and the expression that answers have to match; nil without either.
    func answerRules(_ requests: [GenerationRequest]) -> AnswerRules? {
        guard constraint != nil || !stopStrings.isEmpty else { return nil }
        return AnswerRules(requests, tokenizer: policy.tokenizer, stop: stopStrings, constraint: constraint)
    }

    /// What was generated for some rows of a dataset, as records that wait for their rewards.
    func rolloutRecords(_ rows: [Int], _ dataset: PromptDataset, _ promptIDs: [[Int32]], _ completions: [[Completion]]) -> [Rollout] {
        zip(rows, completions).enumerated().flatMap { group, item in
            item.1.map { completion in
                Rollout(
                    step: state.step, group: group, prompt: dataset.rows[item.0].prompt, promptIDs: promptIDs[item.0], ids: completion.ids,
                    logprobs: completion.logprobs, text: policy.text(of: completion.ids), finishReason: completion.finishReason.rawValue, rewards: [])
            }
        }
    }

    /// What the reward functions are asked, with the columns of each completion's row and where the run stands.
    func rewardBatch(_ rollouts: [Rollout], _ columns: [JSONObject]) -> RewardBatch {
        var place = RewardState()
        (place.step, place.maxSteps) = (max(state.step - 1, 0), plan.totalSteps)
        (place.epoch, place.epochs) = (Double(place.step) / Double(plan.stepsPerEpoch), configuration.epochs)
        return RewardBatch(
            prompts: rollouts.compactMap(\.prompt), completions: rollouts.map { $0.text ?? "" }, completionIDs: rollouts.map(\.ids), columns: columns,
            state: place)
    }

    /// Rewards and advantages into the records; groups may lie anywhere in the batch.
    private func judge(_ rollouts: inout [Rollout], _ table: WeightedRewards.Table) {
        let order = rollouts.indices.sorted { (rollouts[$0].group, $0) < (rollouts[$1].group, $1) }
        let advantages = Advantages(table, order: order, groupSize: plan.generations, configuration)
        for (place, index) in order.enumerated() {
            rollouts[index].take(table, index)
            rollouts[index].advantage = advantages.values[place]
        }
        metrics.record("frac_reward_zero_std", advantages.zeroDeviationShare)
        if advantages.zeroDeviationShare == 1 {
            logger.warning("step \(rollouts.first?.step ?? 0): in every group all rewards are equal, so this generation teaches nothing")
        }
    }

    private func record(_ rollouts: [Rollout], _ table: WeightedRewards.Table) {
        state.tokens += rollouts.reduce(0) { $0 + $1.promptIDs.count + $1.ids.count }
        metrics.record(completionLengths: rollouts.map(\.ids.count), truncated: rollouts.map { isTruncated($0) })
        metrics.record(table.metrics)
    }

    /// No end token, as in TRL; but what a stop string ended is whole.
    func isTruncated(_ rollout: Rollout) -> Bool {
        let isEnded = rollout.ids.last.map(sampling.endTokens.contains) ?? false
        return !isEnded && !(rollout.finishReason == FinishReason.stop.rawValue && (constraint != nil || !stopStrings.isEmpty))
    }

    /// The sampler's log-probabilities, which are the trainer's, bit for bit; a forward pass for rollouts that come without them.
    private func oldLogps(of rollouts: [Rollout]) -> [[Float]] {
        if rollouts.allSatisfy({ $0.logprobs != nil }) { return rollouts.compactMap(\.logprobs) }
        return logps(of: rollouts, under: policy.model, groupSize: plan.generations)
    }

    /// Log-probabilities of every completion's tokens under a model, a micro-batch at a time.
    func logps(of rollouts: [Rollout], under model: Qwen2Model, groupSize: Int) -> [[Float]] {
        var result = rollouts.map { _ in [Float]() }
        for first in stride(from: 0, to: rollouts.count, by: plan.microBatchSize) {
            let part = MicroBatch(rollouts, first..<min(first + plan.microBatchSize, rollouts.count), generations: groupSize)
            var logps = model.score(part.groups, temperature: Float(configuration.temperature)).logprobs[...]
            for index in part.rollouts {
                result[index] = Array(logps.prefix(rollouts[index].ids.count))
                logps = logps.dropFirst(rollouts[index].ids.count)
            }
        }
        return result
    }
}

extension Rollout {
    /// What the reward functions said of the completion `index` of their batch; a recording's own columns stay.
    fileprivate mutating func take(_ table: WeightedRewards.Table, _ index: Int) {
        rewards = table.rewards(of: index)
        reward = table.totals[index]
        if !table.extra.isEmpty { extra = table.extra(of: index) }
    }
}
