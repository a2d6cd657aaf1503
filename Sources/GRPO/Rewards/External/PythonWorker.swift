#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension RewardWorker {
    /// A worker for the functions of a Python file, or of a module by its dotted name.
    static func python(_ target: String, timeout: Double) -> RewardWorker { pythonProgram(pythonScript, target: target, timeout: timeout) }

    /// A worker for a Python program of ours that is given `target`, run by `GRPO_PYTHON` or `python3`.
    static func pythonProgram(_ script: String, target: String, timeout: Double) -> RewardWorker {
        let interpreter = getenv("GRPO_PYTHON").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } ?? "python3"
        return RewardWorker(
            target: target, arguments: [interpreter, "-c", script, target],
            advice: "this needs Python 3: install it, or set GRPO_PYTHON to its path", timeout: timeout)
    }

    /// Answers `{"function": NAME}` with `{"columns": [parameters that only the dataset can give]}`, and the same with `prompts`, `completions`,
    /// `completion_ids`, `columns` and `trainer_state` with `{"rewards": [...], "metrics": [[name, value]...], "extra": {column: [...]}}`, after
    /// calling the function as TRL does; both with `{"error": "one line"}` where that fails.
    private static let pythonScript = #"""
        import asyncio, importlib, importlib.util, inspect, json, math, os, sys, threading, time, traceback, types

        # The conversation moves to descriptors of its own: what reward functions print goes to stderr, what they read is empty.
        questions = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
        answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)

        target = sys.argv[1]
        parent = os.getppid()
        loop = asyncio.new_event_loop()
        module = None


        def end_with_parent():
            """A function that never returns must not outlive the trainer."""
            while os.getppid() == parent:
                time.sleep(1)
            os._exit(1)


        def load():
            """The file or module, imported at the first question, so that what goes wrong is an answer."""
            global module
            if module is None and target.endswith(".py"):
                path = os.path.abspath(target)
                sys.path.insert(0, os.path.dirname(path))
                name = os.path.basename(path)[:-3]
                spec = importlib.util.spec_from_file_location(name, path)
                loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(loaded)
                module = loaded
            elif module is None:
                module = importlib.import_module(target)
            return module


        def find(name):
            function = getattr(load(), name, None)
            if callable(function):
                return function
            known = [n for n, f in vars(load()).items() if inspect.isfunction(f) and not n.startswith("_")]
            raise LookupError(f"there is no function '{name}' in {target}, only {', '.join(known) or 'none at all'}")


        def describe(function):
            """Which columns it cannot do without."""
            parameters = inspect.signature(function).parameters.values()
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                raise TypeError("the function has no **kwargs, and more is passed to it than it names: add them")
            passed = {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"}
            named = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
            return {"columns": [name for name in named if name not in passed]}


        def plain(value):
            """The value as JSON, as text where JSON has none for it."""
            if value is None or isinstance(value, (str, bool)):
                return value
            if isinstance(value, int):
                return value if -2**63 <= value < 2**63 else str(value)
            try:
                number = float(value)
            except Exception:
                return str(value)
            return number if math.isfinite(number) else str(number)


        def judge(function, question):
            metrics, extra = [], {}
            arguments = dict(question["columns"])
            arguments.update(
                prompts=question["prompts"], completions=question["completions"], completion_ids=question["completion_ids"],
                trainer_state=types.SimpleNamespace(**question["trainer_state"]),
                log_extra=lambda column, values: extra.__setitem__(str(column), [plain(value) for value in values]),
                log_metric=lambda name, value: metrics.append([str(name), plain(value)]))
            rewards = function(**arguments)
            if inspect.isawaitable(rewards):
                rewards = loop.run_until_complete(rewards)
            if isinstance(rewards, (str, bytes, dict)) or not hasattr(rewards, "__iter__"):
                raise TypeError(f"returned {type(rewards).__name__}, expected a list with a number or None for each completion")
            return {"rewards": [plain(reward) for reward in rewards], "metrics": metrics, "extra": extra}


        def one_line(error):
            places = [place for place in traceback.extract_tb(error.__traceback__) if place.filename != "<string>"]
            place = f" ({places[-1].filename}:{places[-1].lineno}, in {places[-1].name})" if places else ""
            return " ".join(f"{type(error).__name__}: {error}{place}".split())


        threading.Thread(target=end_with_parent, daemon=True).start()
        for line in questions:
            question = json.loads(line)
            try:
                asyncio.set_event_loop(loop)
                function = find(question["function"])
                answer = judge(function, question) if "completions" in question else describe(function)
            except (Exception, SystemExit) as error:
                answer = {"error": one_line(error)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        """#
}
