internal import JSON

/// Rows of a Parquet or Arrow file, read by Python's pyarrow in a worker process: no library for them is needed otherwise.
enum PythonTable {
    /// Every row of a file.
    static func records(_ path: String) throws -> [DatasetRecord] {
        guard WholeFile.exists(path) else { throw WholeFile.failure(path, "cannot open") }
        let worker = RewardWorker.pythonProgram(script, target: path, timeout: 300)
        var records: [DatasetRecord] = []
        while true {
            let answer: JSONObject
            do { answer = try worker.ask(JSONObject([("rows", .integer(1000))])) } catch { throw FileError(path: path, message: error.message) }
            if let error = answer["error"]?.string {
                let advice =
                    error.contains("pyarrow") ? "; such files are read through Python's pyarrow: install it, or convert the file to JSON Lines" : ""
                throw FileError(path: path, message: "cannot be read: \(error)\(advice)")
            }
            let rows = answer["rows"]?.array ?? []
            for row in rows {
                guard let columns = row.object else {
                    throw FileError(path: path, message: "row \(records.count + 1) is \(row.kind), expected columns")
                }
                records.append(DatasetRecord(file: path, line: nil, number: records.count + 1, columns: columns))
            }
            if rows.isEmpty { return records }
        }
    }

    /// Answers `{"rows": N}` with the next N rows, at the end with none; with `{"error": "one line"}` where that fails.
    private static let script = #"""
        import json, os, sys

        questions = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
        answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        path = sys.argv[1]


        def tables():
            if path.endswith(".parquet"):
                import pyarrow.parquet
                yield from pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1000)
            else:
                import pyarrow.ipc
                try:
                    yield from pyarrow.ipc.open_stream(path)
                except pyarrow.lib.ArrowInvalid:
                    file = pyarrow.ipc.open_file(path)
                    yield from (file.get_batch(i) for i in range(file.num_record_batches))


        def batches():
            for table in tables():
                for start in range(0, table.num_rows, 1000):
                    yield table.slice(start, 1000).to_pylist()


        def plain(value):
            """JSON has no NaN; a dataset's is null."""
            if isinstance(value, float) and value != value:
                return None
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            return [plain(item) for item in value] if isinstance(value, list) else value


        source = None
        for line in questions:
            try:
                source = source or batches()
                rows = next((batch for batch in source if batch), [])
                answer = json.dumps({"rows": plain(rows)}, default=str)
            except Exception as error:
                answer = json.dumps({"error": " ".join(f"{type(error).__name__}: {error}".split())})
            answers.write(answer + "\n")
            answers.flush()
        """#
}
