internal import JSON
internal import Qwen2

extension GRPOConfiguration {
    /// Checks what no single key shows: required keys, and keys that contradict each other.
    public func validate(requiring names: [String] = []) throws(ConfigurationError) {
        let names = mixture.parts.isEmpty ? names : names.filter { $0 != "dataset_name" }
        for field in Self.fields where names.contains(field.name) && ["null", "[]"].contains(field.yaml(self)) {
            throw ConfigurationError(message: "\(field.name) is missing: give the \(field.help) (--\(field.name) or in the YAML file)")
        }
        func refuse(_ isWrong: Bool, _ message: @autoclosure () -> String) throws(ConfigurationError) {
            if isWrong { throw ConfigurationError(message: message()) }
        }
        try refuse(!dtype.isTrainable, "dtype is \(dtype.rawValue), which cannot be trained, only used: expected bfloat16 or float32")
        try refuse(
            syncsReference && beta == 0, "sync_ref_model is true and beta 0, which means no reference model: set beta or leave sync_ref_model out")
        try refuse(
            entropyCoefficientMin > entropyCoefficientMax,
            "entropy_coef_min is \(entropyCoefficientMin), expected at most entropy_coef_max (\(entropyCoefficientMax))")
        try refuse(
            rewardWeights.map { $0.count != rewardFunctions.count } ?? false,
            "reward_weights has \(rewardWeights?.count ?? 0) numbers, expected \(rewardFunctions.count), one for each of reward_funcs")
        try refuse(
            foreign["use_vllm"]?.means("true") ?? false && foreign["vllm_mode"]?.means("server") ?? false,
            "use_vllm with vllm_mode server needs a vLLM server, which nothing here talks to: leave both out, generation is built in")
        try refuse(
            optimizerArguments != nil && optimizer != .sgd, "optim_args is for optim sgd; the keys adam_beta1, adam_beta2 and adam_epsilon set AdamW")
        try refuse((minPassRate ?? -.infinity) > (maxPassRate ?? .infinity), "min_pass_rate is above max_pass_rate")
        try refuse(
            promptSelection == nil && (minPassRate != nil || maxPassRate != nil || easiestFirst),
            "min_pass_rate, max_pass_rate and easiest_first go by the completions that prompt_selection_from names; set it")
        try checkLoRA()
        _ = try SGD.Settings(self)
        _ = try schedule(steps: 1)
        _ = try sampling(endTokens: [])
        _ = try stopStrings()
        _ = try exportRequests()
        if let regex = answerPattern {
            do throws(ConstraintError) {
                _ = try PatternAutomaton(regex)
            } catch {
                throw ConfigurationError(message: "vllm_structured_outputs_regex: \(error)")
            }
        }
    }

    /// Texts that end a completion: transformers' and vLLM's names for them in `generation_kwargs`.
    func stopStrings() throws(ConfigurationError) -> [String] {
        var strings: [String] = []
        for (name, value) in generationArguments.members where Self.stopNames.contains(name) && !value.isNull {
            for item in value.array ?? [value] {
                guard let text = item.string, !text.isEmpty else {
                    throw ConfigurationError(message: "generation_kwargs: \(name) is \(value.serialized()), expected a text or a list of texts")
                }
                strings.append(text)
            }
        }
        return strings
    }

    private static let stopNames = ["stop_strings", "stop"]

    /// The expression of a key of its own, else of `generation_kwargs`, as TRL looks for it.
    var answerPattern: String? { structuredOutputsRegex ?? generationArguments["structured_outputs"]?["regex"]?.string }

    /// How completions are sampled: the keys of their own, and `generation_kwargs` over them.
    func sampling(endTokens: Set<Int32>) throws(ConfigurationError) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = Float(temperature)
        parameters.topP = Float(topP)
        parameters.topK = topK
        parameters.minP = Float(minP ?? 0)
        parameters.repetitionPenalty = Float(repetitionPenalty)
        parameters.maxNewTokens = maxCompletionLength
        parameters.endTokens = endTokens
        parameters.seed = UInt64(seed)
        func fail(_ message: String) -> ConfigurationError { ConfigurationError(message: "generation_kwargs: \(message)") }
        for (name, value) in generationArguments.members {
            switch (name, value.double) {
            case ("top_p", let number?): parameters.topP = Float(number)
            case ("min_p", let number?): parameters.minP = Float(number)
            case ("repetition_penalty", let number?): parameters.repetitionPenalty = Float(number)
            case ("top_k", _) where value.int != nil: parameters.topK = value.int ?? 0
            case ("do_sample", _) where value.bool == true: break
            case ("structured_outputs", _) where value["regex"]?.string != nil && value.object?.members.count == 1: break
            case (let name, _) where Self.stopNames.contains(name): break
            case ("eos_token_id", _):
                let ids = (value.array ?? [value]).compactMap { $0.int.flatMap(Int32.init(exactly:)) }
                guard !ids.isEmpty, ids.count == value.array?.count ?? 1 else { throw fail("eos_token_id is no id nor a list of ids") }
                parameters.endTokens = Set(ids)
            case ("temperature", _), ("max_new_tokens", _):
                throw fail("\(name) has a key of its own, which training goes by too: set temperature, max_completion_length")
            default:
                throw fail(
                    "found '\(name)' with \(value.serialized()), expected top_p, top_k, min_p, repetition_penalty or eos_token_id with a number, "
                        + "stop_strings with texts, or structured_outputs with a regex")
            }
        }
        if let problem = parameters.problem { throw fail(problem) }
        return parameters
    }

    /// Takes `dtype` from `model_init_kwargs`; refuses what would load another model than ours does.
    mutating func takeModelArguments(source: String) throws(ConfigurationError) {
        let harmless = ["attn_implementation", "device_map", "trust_remote_code", "revision", "use_cache", "low_cpu_mem_usage", "use_kernels"]
        for (name, value) in modelArguments.members {
            if name == "dtype" || name == "torch_dtype" {
                guard let text = value.string, let type = ComputeType(rawValue: text) else {
                    throw ConfigurationError(
                        source: source, message: "model_init_kwargs: \(name) is \(value.serialized()), expected \(ComputeType.expected)")
                }
                dtype = type
            } else if !harmless.contains(name) {
                throw ConfigurationError(source: source, message: "model_init_kwargs: '\(name)' cannot be had here; leave it out")
            }
        }
    }
}
