"""Random small Jinja templates for template_parity.py: whatever a chat template could be made of, mostly well typed so that most of them render."""
import random

TEXTS = ["", "a", "user", "Hello, World!", " pad ded ", "a,b,,c", "x\ny\n\nz", "é日本🥳", "<b>&'\"</b>", "ABC def", "%s|%d", "1", " 42 ", "3.7", "ß Σας"]
STRING_METHODS = ["strip()", "lstrip()", "rstrip()", "upper()", "lower()", "title()", "capitalize()", "swapcase()", "split()", "split(',')",
                  "split('l', 1)", "rsplit(' ', 1)", "splitlines()", "strip(' a<')", "replace('a', 'bb')", "replace('l', '', 1)", "startswith('a')",
                  "endswith(('c', 'z'))", "find('l')", "rfind('l')", "count('l')", "zfill(6)", "center(9, '*')", "ljust(4)", "rjust(4)", "partition(',')",
                  "rpartition(' ')", "isdigit()", "isalpha()", "isupper()", "islower()", "isspace()", "istitle()", "isalnum()", "removeprefix('a')",
                  "removesuffix('c')", "casefold()", "join(['p', 'q'])", "index('l')", "split('')", "nothing", "format_"]
STRING_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "reverse", "string", "tojson", "list", "first", "last", "replace('a', 'o')",
                  "indent", "indent(2, true)", "indent('>', first=true, blank=true)", "truncate(5)", "truncate(4, true, '')", "truncate(9, end='!', leeway=0)",
                  "wordcount", "center(11)", "int", "float", "int(7)", "int(default=3, base=16)", "escape", "safe", "e", "forceescape", "default('d')",
                  "default('d', true)", "join('-')", "count", "unique|list", "sort", "map('upper')|list", "batch(2)|list", "format(3, 4)", "trim('a ')",
                  "tojson(ensure_ascii=true)", "nonexistent"]
LIST_FILTERS = ["length", "first", "last", "list", "reverse|list", "join", "join(', ')", "sort", "sort(reverse=true)", "unique|list", "min", "max", "sum",
                "tojson", "tojson(indent=2)", "string", "map('string')|list", "map('default', 0)|list", "select|list", "reject|list", "select('string')|list",
                "reject('none')|join('/')", "select('defined')|list|length", "batch(2, 'f')|list", "slice(2)|list", "slice(3, 0)|list", "random_", "count",
                "select('odd')|list", "select('gt', 1)|list", "map('upper')|join", "map('length')|list", "first|default('none')", "sort|first"]
MAP_FILTERS = ["length", "list", "tojson", "tojson(sort_keys=true)", "tojson(indent=4, separators=(';', '='))", "items|list", "dictsort", "dictsort(true, 'value')",
               "dictsort(reverse=true)", "first", "last", "string", "join(',')", "default(1)", "sort", "reverse|list"]
NUMBER_FILTERS = ["abs", "int", "float", "round", "round(1)", "round(2, 'floor')", "round(method='ceil')", "string", "default(0)", "tojson", "length", "round(-1)"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean", "true", "false", "odd", "even",
         "divisibleby(3)", "divisibleby 2", "eq(1)", "ne 2", "gt(0)", "in [1, 'a']", "sameas none", "sameas(true)", "lower", "upper", "callable", "escaped",
         "not defined", "not none", "not string", "not in 'abc'", "ge 1", "nonsense"]
ROWS = [{"name": "b", "n": 2, "tags": ["x", "y"], "in": {"deep": "1"}}, {"name": "A", "n": 1, "tags": [], "in": {"deep": "2"}},
        {"name": "a", "n": 2, "tags": ["z"], "in": {}}, {"name": "C", "n": None, "extra": "e"}]
VARIABLES = {"s": "Hello <World>", "t": "  a,b c ", "n": 7, "m": -3, "f": 2.5, "yes": True, "no": False, "nil": None, "xs": [3, 1, 2, 2], "ws": ["b", "A", "a", "c"],
             "mix": [1, "1", None, 2.0, True, [1], {"k": "v"}], "d": {"b": 1, "A": [1, 2], "c": {"x": "y"}, "keys": "own"}, "rows": ROWS, "empty": [], "blank": "",
             "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}], "u": "é日本🥳 \u200b\u0301 x"}


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.names = []
        self.macros = []
        self.in_loop = 0

    def pick(self, *options):
        return self.r.choice(options)()

    def text(self):
        value = self.r.choice(TEXTS)
        if self.r.random() < 0.3:
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", self.r.choice(["\\n", "\n"])) + "'"

    def name(self):
        return self.r.choice(self.names) if self.names and self.r.random() < 0.5 else self.r.choice(["x", "y", "missing", "nil"])

    # Expressions by the type they probably have; `k` is how deep they may still go.
    def string(self, k):
        if k <= 0:
            return self.r.choice([self.text(), "s", "t", "u", "blank", self.name()])
        return self.pick(
            self.text, lambda: self.r.choice(["s", "t", "u"]), lambda: f"{self.string(k - 1)} ~ {self.any(k - 1)}", lambda: f"{self.string(k - 1)} + {self.string(k - 1)}",
            lambda: f"{self.string(k - 1)}.{self.r.choice(STRING_METHODS)}", lambda: f"({self.string(k - 1)})|{self.r.choice(STRING_FILTERS)}",
            lambda: f"{self.string(k - 1)}[{self.index(k)}]", lambda: f"({self.string(k - 1)} if {self.truth(k - 1)} else {self.string(k - 1)})",
            lambda: f"'%s-%5d-%.2f-%r' % ({self.any(k - 1)}, {self.number(k - 1)}, {self.number(k - 1)}, {self.any(k - 1)})", lambda: f"({self.string(k - 1)}) * {self.r.randint(0, 3)}",
            lambda: self.r.choice(["rows[0].name", "rows[0]['name']", "d.c.x", "rows[1].in.deep", "d['keys']", "d.keys()|list|first"]))

    def index(self, k):
        bounds = [str(self.r.randint(-5, 5)), "", "n", "none"]
        if self.r.random() < 0.6:
            index = f"{self.r.choice(bounds)}:{self.r.choice(bounds)}"
            return index + (f":{self.r.choice(['2', '-1', '', '-2', '1', '3'])}" if self.r.random() < 0.4 else "")
        return self.r.choice(["0", "1", "-1", "9", "'k'", "n"])

    def number(self, k):
        if k <= 0:
            return self.r.choice(["0", "1", "2", "7", "n", "m", "f", "3.25", "1e3", "0x1F", "1_000", "yes", "-4", "0.1"])
        return self.pick(
            lambda: self.number(0), lambda: f"{self.number(k - 1)} {self.r.choice(['+', '-', '*', '/', '//', '%'])} {self.number(k - 1)}", lambda: f"({self.number(k - 1)})|{self.r.choice(NUMBER_FILTERS)}",
            lambda: f"({self.list(k - 1)})|{self.r.choice(['length', 'sum', 'count'])}", lambda: f"-{self.number(k - 1)}", lambda: f"{self.r.randint(0, 4)} ** {self.r.randint(0, 4)}",
            lambda: f"{self.string(k - 1)}|length", lambda: "loop.index" if self.in_loop else "n", lambda: f"(-{self.r.randint(1, 9)}) {self.r.choice(['//', '%'])} {self.r.choice(['2', '3', '-4', '2.5'])}")

    # What is indexed is a list for certain: slicing a literal number is an error in Jinja2, but undefined where it computes it while compiling; ours is the error.
    def list(self, k):
        if k <= 0:
            return self.r.choice(["xs", "ws", "mix", "empty", "rows", "[1, 2, 3]", "range(4)", "[]", "d", "range(9, 1, -3)", "(1, 'two')"])
        return self.pick(
            lambda: self.list(0), lambda: "[" + ", ".join(self.any(k - 1) for _ in range(self.r.randint(0, 3))) + "]", lambda: f"({self.list(0)})[{self.index(k)}]",
            lambda: f"({self.list(k - 1)})|{self.r.choice(LIST_FILTERS)}", lambda: f"({self.list(k - 1)}) + ({self.list(k - 1)})", lambda: f"{self.string(k - 1)}.split({self.r.choice(['', chr(39) + ',' + chr(39)])})",
            lambda: self.r.choice(["d.items()", "d.values()|list", "d.keys()|list", "d|list", "d|dictsort", "rows|map(attribute='name')|list", "rows|selectattr('n')|list", "rows|rejectattr('tags', 'defined')|list",
                                   "rows|selectattr('n', 'eq', 2)|map(attribute='name')|join(',')", "rows|groupby('name')", "rows|map(attribute='in.deep', default='?')|list", "rows|sort(attribute='name')|map(attribute='name')|list",
                                   "rows[:3]|groupby('n')|map('first')|list", "rows[:3]|sum(attribute='n')", "rows[:3]|sort(attribute='n,name', reverse=true)|map(attribute='name')|join", "rows|unique(attribute='n')|map(attribute='name')|list",
                                   "rows|map(attribute='tags')|list", "ws|sort(case_sensitive=true)", "ws|unique|list", "ws|max", "ws|min(case_sensitive=true)", "rows[:3]|max(attribute='n')", "ws|map('replace', 'a', 'o')|list"]),
            lambda: f"({self.number(k - 1)}, {self.string(k - 1)})")

    def mapping(self, k):
        if k <= 0:
            return self.r.choice(["d", "{}", "{'k': 1}", "rows[0]", "dict(a=1, b='z')", "{1: 'i', none: 2, true: 3}", "{'b': 1, 'a': 2,}"])
        return self.pick(lambda: self.mapping(0), lambda: "{" + ", ".join(f"{self.text()}: {self.any(k - 1)}" for _ in range(self.r.randint(0, 3))) + "}",
                         lambda: f"dict({self.mapping(k - 1)}, z={self.any(k - 1)})", lambda: f"({self.mapping(k - 1)})|{self.r.choice(MAP_FILTERS)}", lambda: f"{self.mapping(k - 1)}.get('{self.r.choice('kbA')}', {self.any(k - 1)})")

    def truth(self, k):
        if k <= 0:
            return self.r.choice(["true", "false", "yes", "no", "nil", "missing", "xs", "blank", self.name()])
        return self.pick(
            lambda: self.truth(0), lambda: f"{self.any(k - 1)} is {self.r.choice(TESTS)}", lambda: f"not {self.truth(k - 1)}", lambda: f"{self.truth(k - 1)} {self.r.choice(['and', 'or'])} {self.truth(k - 1)}",
            lambda: f"{self.number(k - 1)} {self.r.choice(['<', '<=', '>', '>=', '==', '!='])} {self.number(k - 1)}", lambda: f"{self.any(k - 1)} {self.r.choice(['==', '!='])} {self.any(k - 1)}",
            lambda: f"{self.string(k - 1)} {self.r.choice(['in', 'not in', '<', '>='])} {self.string(k - 1)}", lambda: f"{self.any(k - 1)} {self.r.choice(['in', 'not in'])} {self.list(k - 1)}",
            lambda: f"1 < {self.number(k - 1)} <= 7", lambda: "loop.first" if self.in_loop else "yes", lambda: "loop.last" if self.in_loop else "no")

    def any(self, k):
        return self.pick(lambda: self.string(k), lambda: self.number(k), lambda: self.list(k), lambda: self.mapping(k), lambda: self.truth(k), lambda: self.name(), lambda: self.string(k))

    # Statements
    def tag(self, inside):
        return "{%" + self.r.choice(["", "", "", "-", "-", "+"]) + " " + inside + " " + self.r.choice(["", "", "", "-", "-", "+"]) + "%}"

    def space(self):
        return self.r.choice(["", "", "", " ", "\n", "\n  ", "  \n", "\t", "\n\n", " . ", "text\n", "é"])

    def body(self, k, n=3):
        return "".join(self.space() + self.statement(k - 1) for _ in range(self.r.randint(0, n))) + self.space()

    def statement(self, k):
        choices = [self.output] * 5 + [self.comment]
        if k > 0:
            choices += [self.set_] * 2 + [self.if_] * 2 + [self.for_] * 3 + [self.macro, self.set_block, self.filter_block, self.with_, self.namespace, self.call, self.raw, self.recursive, self.generation]
        if self.in_loop:
            choices += [self.loop_variable, self.loop_control]
        return self.r.choice(choices)(k)

    def output(self, k):
        return "{{" + self.r.choice(["", " ", "- ", "-"]) + self.any(self.r.choice([0, 1, 1, 2, 2, 3])) + self.r.choice(["", " ", " -", "-"]) + "}}"

    def comment(self, k):
        return self.r.choice(["{# c #}", "{#- c -#}", "{# {{ x }} #}\n", "{#c+#}\n"])

    def new_name(self):
        name = self.r.choice(["x", "y", "z", "w"])
        self.names.append(name)
        return name

    def set_(self, k):
        if self.r.random() < 0.15:
            value = f"{self.any(1)}, {self.any(1)}"
            return self.tag(f"set {self.new_name()}, {self.new_name()} = {value}")
        value = self.any(2)
        return self.tag(f"set {self.new_name()} = {value}")

    def set_block(self, k):
        body = self.body(k, 2)
        return self.tag("set " + self.new_name() + self.r.choice(["", "", " | upper", " | trim | length"])) + body + self.tag("endset")

    def if_(self, k):
        parts = [self.tag(f"if {self.truth(2)}") + self.body(k, 2)]
        parts += [self.tag(f"elif {self.truth(1)}") + self.body(k, 2) for _ in range(self.r.choice([0, 0, 1, 2]))]
        if self.r.random() < 0.5:
            parts.append(self.tag("else") + self.body(k, 2))
        return "".join(parts) + self.tag("endif")

    def for_(self, k):
        source = self.list(1)
        target = self.r.choice(["x", "x", "y", "k, v", "row"])
        if target == "k, v":
            source = self.r.choice(["d.items()", "d|dictsort", "[(1, 2), [3, 4]]", "rows[0].items()", "rows|groupby('n')", source])
        self.names += [part for part in target.split(", ")]
        condition = f" if {self.r.choice(['x', 'x is defined', 'not ' + target.split(', ')[0], self.truth(1)])}" if self.r.random() < 0.3 else ""
        self.in_loop += 1
        body = self.body(k, 3)
        self.in_loop -= 1
        otherwise = self.tag("else") + self.body(k, 1) if self.r.random() < 0.25 else ""
        return self.tag(f"for {target} in {source}{condition}") + body + otherwise + self.tag("endfor")

    def loop_variable(self, k):
        return "{{ " + self.r.choice(["loop.index", "loop.index0", "loop.revindex", "loop.revindex0", "loop.first", "loop.last", "loop.length", "loop.depth", "loop.previtem", "loop.nextitem|default('end')",
                                      "loop.cycle('odd', 'even')", "loop.changed(x)", "loop.previtem is defined", "loop.nextitem is undefined"]) + " }}"

    def loop_control(self, k):
        return self.tag(f"if {self.truth(1)}") + self.tag(self.r.choice(["break", "continue"])) + self.tag("endif")

    def recursive(self, k):
        return self.r.choice([
            "{% for i in tree recursive %}{{ loop.depth }}{{ i.v }}{{ '(' ~ loop(i.c) ~ ')' if i.c }}{% endfor %}",
            "{%- for i in tree if i.v != 3 recursive -%} {{ loop.depth0 }}:{{ i.v }}/{{ loop.length }} {{ loop(i.c) }}{% else %}none{%- endfor %}"])

    def macro(self, k):
        outer, self.in_loop = self.in_loop, 0
        name = self.r.choice(["m1", "m2"])
        parameters = self.r.choice(["", "x", "x, y=1", "x='d', y=x", "y, x=none"])
        extra = self.r.choice(["", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() if caller }}", "{{ caller('p') }}"])
        text = self.tag(f"macro {name}({parameters})") + self.body(k, 2) + extra + self.tag("endmacro")
        self.macros.append(name)
        self.in_loop = outer
        arguments = self.r.choice(["", "1", "x=2", "'p', 'q'", "y=3, x=1", "*[1, 2]", "**{'x': 5}", "1, 2, 3", "z=1"])
        return text + "{{ " + name + "(" + arguments + ") }}"

    def call(self, k):
        if not self.macros:
            return self.output(k)
        outer, self.in_loop = self.in_loop, 0
        body = self.body(k, 2)
        self.in_loop = outer
        return self.tag(f"call{self.r.choice(['', '(p)', '(p=1)'])} {self.r.choice(self.macros)}({self.r.choice(['', '1', 'x=1'])})") + body + self.tag("endcall")

    def filter_block(self, k):
        return self.tag("filter " + self.r.choice(["upper", "trim", "replace('a', 'o')", "indent(2)", "trim|upper", "title"])) + self.body(k, 2) + self.tag("endfilter")

    def with_(self, k):
        value = self.any(1)
        name = self.new_name()
        return self.tag(f"with {name} = {value}" + self.r.choice(["", f", q = {name}"])) + self.body(k, 2) + self.tag("endwith")

    def namespace(self, k):
        return ("{% set ns = namespace(c=0, found=false) %}" + self.tag("for x in " + self.list(0)) + "{% set ns.c = ns.c + loop.index %}" + self.body(k, 1)
                + self.tag("if ns.c > 2 and not ns.found") + "{% set ns.found = x %}" + self.tag("endif") + self.tag("endfor") + "{{ ns.c }}{{ ns.found }}{{ ns.missing }}")

    def raw(self, k):
        return self.tag("raw").replace("+%}", "%}") + self.r.choice(["{{ x }}", " {% if %} ", "\n{# \n"]) + self.tag("endraw")

    def generation(self, k):
        outer, self.in_loop = self.in_loop, 0
        body = self.body(k, 2)
        self.in_loop = outer
        return self.tag("generation") + body + self.tag("endgeneration")

    def template(self):
        return self.body(self.r.randint(2, 4), self.r.randint(1, 5)) or self.output(1)
