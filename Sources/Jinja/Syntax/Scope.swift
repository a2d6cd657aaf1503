/// The variables of a block that has its own: a loop's body, a macro, a `set` block and so on.
///
/// Which block a name belongs to is decided before rendering, by Jinja2's rules: a block that assigns a name has its own copy of it, made
/// when the block begins; a block that only reads it reads the next block outside that knows it.
struct Scope: Sendable {
    /// What a variable is when its block begins.
    enum Load: Sendable {
        /// Nothing yet: the block puts an argument or an element there.
        case parameter
        /// What was given to the template under this name, or a built-in function.
        case given
        /// What the next block outside has.
        case outer
        /// Undefined until it is assigned.
        case undefined
    }

    /// From a name to its place in a frame.
    let slots: [Int: Int]
    /// For every place, the name and how it begins.
    let loads: [(name: Int, load: Load)]
}

/// Finds the scopes of a template.
struct ScopeAnalysis {
    private var scopes: [Scope]
    private var parents: [Int?]
    private let names: [Text]
    /// Copies of tables are what branches cost; a template that needs more is an attack.
    private var copies = 0
    private static let copyLimit = 4_000_000

    static func scopes(of body: [Statement], names: [Text], count: Int) throws(JinjaError) -> [Scope] {
        var analysis = ScopeAnalysis(names: names, count: count)
        try analysis.define(0, parent: nil, body) { _ in }
        return analysis.scopes
    }

    private init(names: [Text], count: Int) {
        self.names = names
        scopes = Array(repeating: Scope(slots: [:], loads: []), count: count)
        parents = Array(repeating: nil, count: count)
    }

    /// The variables of a scope while they are being found.
    private struct Symbols {
        let parent: Int?
        var loads: [Int: Scope.Load] = [:]
        var stored: Set<Int> = []
    }

    /// Finds the variables of a scope, then those of the scopes in it, which may refer to all of them.
    private mutating func define(_ scope: Int, parent: Int?, _ body: [Statement], trailing: [Postfix] = [], start: (inout Symbols) -> Void)
        throws(JinjaError)
    {
        var symbols = Symbols(parent: parent)
        start(&symbols)
        try visit(body, &symbols)
        visit(trailing, &symbols)
        finish(scope, symbols)
        try defineInner(body, parent: scope)
    }

    private mutating func finish(_ scope: Int, _ symbols: Symbols) {
        let loads = symbols.loads.sorted { $0.key < $1.key }
        scopes[scope] = Scope(
            slots: Dictionary(uniqueKeysWithValues: loads.indices.map { (loads[$0].key, $0) }), loads: loads.map { ($0.key, $0.value) })
        parents[scope] = symbols.parent
    }

    private func isKnown(_ name: Int, outside parent: Int?) -> Bool {
        var scope = parent
        while let current = scope {
            if scopes[current].slots[name] != nil { return true }
            scope = parents[current]
        }
        return false
    }

    // MARK: Uses of a name

    private func load(_ name: Name, _ symbols: inout Symbols) {
        if symbols.loads[name.id] == nil, !isKnown(name.id, outside: symbols.parent) { symbols.loads[name.id] = .given }
    }

    private func store(_ name: Name, _ symbols: inout Symbols) {
        symbols.stored.insert(name.id)
        if symbols.loads[name.id] == nil { symbols.loads[name.id] = isKnown(name.id, outside: symbols.parent) ? .outer : .undefined }
    }

    private func declare(_ target: Target, _ symbols: inout Symbols) {
        switch target {
        case .name(let name): declare(name.id, &symbols)
        case .tuple(let targets, _): for target in targets { declare(target, &symbols) }
        case .attribute: break
        }
    }

    private func declare(_ name: Int, _ symbols: inout Symbols) {
        symbols.stored.insert(name)
        symbols.loads[name] = .parameter
    }

    private func store(_ target: Target, _ symbols: inout Symbols) {
        switch target {
        case .name(let name): store(name, &symbols)
        case .tuple(let targets, _): for target in targets { store(target, &symbols) }
        case .attribute(let namespace, _): load(namespace, &symbols)
        }
    }

    // MARK: A scope's own statements

    private mutating func visit(_ statements: [Statement], _ symbols: inout Symbols) throws(JinjaError) {
        for statement in statements {
            switch statement {
            case .text, .breakLoop, .continueLoop, .generation: break
            case .output(let expression, _): visit(expression, &symbols)
            case .conditional(let branches, let otherwise): try visit(branches[...], otherwise, &symbols)
            case .loop(let loop): visit(loop.iterable, &symbols)
            case .assign(let target, let value, _):
                visit(value, &symbols)
                store(target, &symbols)
            case .assignBlock(let target, _, _, _, _): store(target, &symbols)
            case .macro(let name, _): store(name, &symbols)
            case .callBlock(let callee, let call, _, _):
                visit(callee, &symbols)
                call.forEachName { load($0, &symbols) }
            case .filterBlock(let filters, _, _, _): visit(filters, &symbols)
            case .with(let assignments, _, _, _): for (_, value) in assignments { visit(value, &symbols) }
            }
        }
    }

    private func visit(_ expression: Expression, _ symbols: inout Symbols) {
        expression.forEachName { load($0, &symbols) }
    }

    private func visit(_ filters: [Postfix], _ symbols: inout Symbols) {
        for filter in filters { filter.forEachName { load($0, &symbols) } }
    }

    /// A variable assigned in only some branches begins as what it is outside of them.
    private mutating func visit(
        _ branches: ArraySlice<(condition: Expression, body: [Statement])>, _ otherwise: [Statement], _ symbols: inout Symbols
    ) throws(JinjaError) {
        guard let first = branches.first else { return }
        visit(first.condition, &symbols)
        var body = try copy(symbols)
        try visit(first.body, &body)
        var alternatives = try copy(symbols)
        for branch in branches.dropFirst() { try visit([branch], [], &alternatives) }
        var rest = try copy(symbols)
        try visit(otherwise, &rest)

        let stored = body.stored.union(alternatives.stored).union(rest.stored).subtracting(symbols.stored)
        for branch in [body, alternatives, rest] {
            symbols.loads.merge(branch.loads) { $1 }
            symbols.stored.formUnion(branch.stored)
        }
        for name in stored { symbols.loads[name] = isKnown(name, outside: symbols.parent) ? .outer : .given }
    }

    private mutating func copy(_ symbols: Symbols) throws(JinjaError) -> Symbols {
        copies += symbols.loads.count + 1
        guard copies <= Self.copyLimit else { throw JinjaError("the template has too many names in too many branches") }
        return symbols
    }

    // MARK: Scopes inside

    private mutating func defineInner(_ statements: [Statement], parent: Int) throws(JinjaError) {
        for statement in statements {
            switch statement {
            case .text, .output, .assign, .breakLoop, .continueLoop: break
            case .conditional(let branches, let otherwise):
                for (_, body) in branches { try defineInner(body, parent: parent) }
                try defineInner(otherwise, parent: parent)
            case .loop(let loop): try define(loop, parent: parent)
            case .assignBlock(_, _, let body, let scope, _): try define(scope, parent: parent, body) { _ in }
            case .macro(_, let macro), .callBlock(_, _, let macro, _): try define(macro, parent: parent)
            case .filterBlock(let filters, let body, let scope, _): try define(scope, parent: parent, body, trailing: filters) { _ in }
            case .with(let assignments, let body, let scope, _):
                let analysis = self
                try define(scope, parent: parent, body) { for (target, _) in assignments { analysis.declare(target, &$0) } }
            case .generation(let body, let scope, let offset):
                // transformers makes a `call` block of it.
                let caller = MacroDefinition(
                    name: nil, parameters: [], parameterNames: [], defaults: [], body: body, scope: scope, offset: offset)
                try define(caller, parent: parent)
            }
        }
    }

    private mutating func define(_ loop: ForLoop, parent: Int) throws(JinjaError) {
        let variable = names.firstIndex(of: "loop")
        let analysis = self
        try define(loop.bodyScope, parent: parent, loop.body) { symbols in
            if let variable { analysis.declare(variable, &symbols) }
            analysis.declare(loop.target, &symbols)
        }
        try define(loop.conditionScope, parent: parent, []) { symbols in
            analysis.declare(loop.target, &symbols)
            if let condition = loop.condition { analysis.visit(condition, &symbols) }
        }
        try define(loop.otherwiseScope, parent: parent, loop.otherwise) { _ in }
    }

    private mutating func define(_ macro: MacroDefinition, parent: Int) throws(JinjaError) {
        var special = SpecialNames(names: names)
        special.visit(macro.body)
        let analysis = self
        try define(macro.scope, parent: parent, macro.body) { symbols in
            for parameter in macro.parameters { analysis.declare(parameter.id, &symbols) }
            for value in macro.defaults { analysis.visit(value, &symbols) }
            for name in special.read { analysis.declare(name, &symbols) }
        }
    }
}

/// Which of `caller`, `kwargs` and `varargs` a macro's body reads: only those that it reads does a macro accept.
private struct SpecialNames {
    /// Ids that were read before anything inside assigned them.
    private(set) var read: Set<Int> = []
    private var wanted: Set<Int>

    init(names: [Text]) {
        wanted = Set(names.indices.filter { ["caller", "kwargs", "varargs"].contains(names[$0]) })
    }

    mutating func visit(_ statements: [Statement]) {
        if wanted.isEmpty { return }
        for statement in statements {
            switch statement {
            case .text, .breakLoop, .continueLoop: break
            case .output(let expression, _): visit(expression)
            case .conditional(let branches, let otherwise):
                for (condition, body) in branches {
                    visit(condition)
                    visit(body)
                }
                visit(otherwise)
            case .loop(let loop):
                hide(loop.target)
                visit(loop.iterable)
                visit(loop.body)
                visit(loop.otherwise)
                if let condition = loop.condition { visit(condition) }
            case .assign(let target, let value, _):
                hide(target)
                visit(value)
            case .assignBlock(let target, let filters, let body, _, _):
                hide(target)
                for filter in filters { filter.forEachName { read($0) } }
                visit(body)
            case .macro(_, let macro): visit(macro)
            case .callBlock(let callee, let call, let caller, _):
                visit(callee)
                call.forEachName { read($0) }
                visit(caller)
            case .filterBlock(let filters, let body, _, _):
                visit(body)
                for filter in filters { filter.forEachName { read($0) } }
            case .with(let assignments, let body, _, _):
                for (target, _) in assignments { hide(target) }
                for (_, value) in assignments { visit(value) }
                visit(body)
            case .generation(let body, _, _): visit(body)
            }
        }
    }

    private mutating func visit(_ macro: MacroDefinition) {
        for parameter in macro.parameters { wanted.remove(parameter.id) }
        for value in macro.defaults { visit(value) }
        visit(macro.body)
    }

    private mutating func visit(_ expression: Expression) {
        expression.forEachName { read($0) }
    }

    private mutating func read(_ name: Name) {
        if wanted.contains(name.id) { read.insert(name.id) }
    }

    private mutating func hide(_ target: Target) {
        switch target {
        case .name(let name): wanted.remove(name.id)
        case .tuple(let targets, _): for target in targets { hide(target) }
        case .attribute: break
        }
    }
}
