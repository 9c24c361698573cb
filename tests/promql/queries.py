"""Random PromQL over the made-up world: what Prometheus 2.42 knows, and what must come out alike in 3.x.

`exact` expressions come to the same bits in any evaluator (quarters, added and compared), so what jumps at a
threshold (floor, comparisons, count_values…) is drawn over them alone; `vector` is anything.
"""

import random

COUNTERS = ("requests_total", "errors_total")
GAUGES = ("memory_bytes", "temperature", "up", "build_info", "lonely", "latency_bucket")
# Decimals: sums of them differ in their last digits, so that nothing that jumps is drawn over them.
DECIMALS = ("share_seconds",)
LABELS = ("job", "instance", "code", "version", "le")
RANGES = ("1m", "2m", "5m", "10m", "30m")
RATES = ("rate", "increase", "delta", "irate", "idelta")
EXACT_OVER_TIME = (
    "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time", "present_over_time",
    "changes", "resets",
)  # fmt: skip
LOOSE_OVER_TIME = ("avg_over_time", "stddev_over_time", "stdvar_over_time", "deriv")
SMOOTH_MAPS = ("abs", "sqrt", "deg", "rad", "asinh", "atan", "tanh")
MAPS = (
    "abs", "ceil", "floor", "round", "exp", "ln", "log2", "log10", "sqrt", "sgn", "acos", "acosh", "asin", "asinh",
    "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh", "deg", "rad",
)  # fmt: skip
DATES = (
    "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
)  # fmt: skip
EXACT_FOLDS = ("sum", "min", "max", "count", "group")
LOOSE_FOLDS = ("avg", "stddev", "stdvar")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
REGEXES = ('job=~"a.*"', 'job!~"api"', 'instance=~"a:1|b:1"', 'instance=~".*:1"', 'job!="db"', 'code="200"')


class Queries:
    def __init__(self, seed, start_s, span_s):
        self.rng = random.Random(seed)
        self.start_s, self.span_s = start_s, span_s

    def one(self):
        r = self.rng
        kind = r.random()
        if kind < 0.08:
            return self.scalar(2)
        if kind < 0.13:
            return self.top()
        if kind < 0.18:
            return f"{r.choice(('sort', 'sort_desc'))}({self.vector(1)})"
        return self.vector(r.choice((1, 2, 2, 3, 3)))

    # --- leaves ---

    def number(self):
        return self.rng.choice(
            ("0", "1", "2", "-1", "0.5", "10", "100", "1e3", "0x1F", "Inf", "-Inf", "NaN", "3")
        )

    def finite(self):
        return self.rng.choice(("0", "1", "2", "-1", "0.5", "10", "250", "1e3", "0x1F"))

    def metric(self, names=COUNTERS + GAUGES):
        r = self.rng
        name = r.choice(names)
        matchers = [r.choice(REGEXES) for _ in range(r.choice((0, 0, 0, 1, 1, 2)))]
        form = r.random()
        if form < 0.04:
            return "{" + ",".join([f'__name__="{name}"', *matchers]) + "}"
        if form < 0.06:
            return "{__name__=~" + f'"{name[:4]}.*"' + "}"
        return name + ("{" + ",".join(matchers) + "}" if matchers else "")

    def shift(self):
        r = self.rng
        out = []
        if r.random() < 0.15:
            out.append("offset " + r.choice(("1m", "5m", "30s", "-2m", "1h", "-10m")))
        if r.random() < 0.08:
            at = r.choice(("start()", "end()", f"{self.start_s + r.randrange(self.span_s)}.500"))
            out.insert(r.randrange(len(out) + 1), f"@ {at}")
        return " ".join(["", *out])

    def selector(self, names=COUNTERS + GAUGES):
        return self.metric(names) + self.shift()

    def window(self, depth, names=COUNTERS + GAUGES, *, exact=True):
        r = self.rng
        if depth > 0 and r.random() < 0.25:
            inner = self.exact(depth - 1, plain=True) if exact else self.vector(depth - 1, plain=True)
            step = r.choice(("", "30s", "1m", "2m", "15s"))
            return f"({inner})[{r.choice(RANGES)}:{step}]" + self.shift()
        return f"{self.metric(names)}[{r.choice(RANGES)}]" + self.shift()

    def labels(self):
        r = self.rng
        return ", ".join(r.sample(LABELS, r.choice((0, 1, 1, 2, 2, 3))))

    def grouping(self):
        return self.rng.choice(("", " by ({})", " by ({})", " without ({})")).format(self.labels())

    # --- by kind ---

    def scalar(self, depth):
        r = self.rng
        pick = r.random()
        if depth <= 0 or pick < 0.4:
            return r.choice((self.number(), self.number(), "time()", "pi()"))
        if pick < 0.6:
            return f"scalar({self.exact(depth - 1)})"
        if pick < 0.7:
            return f"-({self.scalar(depth - 1)})"
        if pick < 0.8:
            return f"({self.number()} {r.choice(COMPARISONS)} bool {self.number()})"
        return (
            f"({self.scalar(depth - 1)} {r.choice(('+', '-', '*', '/', '^', '%', 'atan2'))} {self.number()})"
        )

    def exact(self, depth, *, plain=False):
        """An instant vector whose values any evaluator comes to bit by bit."""
        r = self.rng
        pick = r.random()
        if depth <= 0 or pick < 0.3:
            return self.metric() if plain else self.selector()
        d = depth - 1
        if pick < 0.5:
            name = r.choice(EXACT_OVER_TIME)
            # A sub-query's steps meet a window's edge where windows themselves stand on whole seconds.
            window = f"{self.metric()}[{r.choice(RANGES)}]" if plain else self.window(d)
            return f"{name}({window})"
        if pick < 0.7:
            return f"{r.choice(EXACT_FOLDS)}{self.grouping()} ({self.exact(d, plain=plain)})"
        if pick < 0.8:
            return f"({self.exact(d, plain=plain)} {r.choice(('+', '-'))} {self.finite()})"
        if pick < 0.9:
            return f"({self.exact(d, plain=plain)} {r.choice(COMPARISONS)} {self.number()})"
        return f"-({self.exact(d, plain=plain)})"

    def vector(self, depth, *, plain=False):
        r = self.rng
        d = depth - 1
        if depth <= 0:
            return self.metric() if plain else self.selector()
        makers = [
            self._folded,
            self._over_time,
            self._rate,
            self._mapped,
            self._joined,
            self._with_scalar,
            self._labelled,
        ]
        if plain:
            makers = [self._folded, self._rate, self._mapped, self._with_scalar]
        return r.choice(makers)(d, plain)

    def _rate(self, d, plain):
        r = self.rng
        names = COUNTERS if r.random() < 0.7 else COUNTERS + GAUGES
        window = f"{self.metric(names)}[{r.choice(RANGES)}]" if plain else self.window(d, names)
        return f"{r.choice(RATES)}({window})"

    def _over_time(self, d, plain):
        r = self.rng
        pick = r.random()
        window = f"{self.metric()}[{r.choice(RANGES)}]" if plain else self.window(d)
        if pick < 0.35:
            return f"{r.choice(LOOSE_OVER_TIME)}({window})"
        if pick < 0.55:
            return f"quantile_over_time({r.choice(('0', '0.5', '0.9', '1', '-1', '2', 'NaN'))}, {window})"
        if pick < 0.65:
            while "@" in window:  # see differences.TABLE
                window = self.window(d)
            return f"predict_linear({window}, {r.choice(('60', '3600', '-60'))})"
        if pick < 0.75:
            factor = r.choice(("0.1", "0.5", "0.9"))
            return f"double_exponential_smoothing({window}, {factor}, {r.choice(('0.3', '0.8', '1.5'))})"
        if pick < 0.82:
            return f"absent_over_time({window})"
        return f"{r.choice(EXACT_OVER_TIME)}({window})"

    def _decimals(self):
        """A fold of a function of decimals: what kernels add up, sort and stretch."""
        r = self.rng
        selector, window = (
            self.selector(DECIMALS),
            f"{self.metric(DECIMALS)}[{r.choice(RANGES)}]{self.shift()}",
        )
        name = r.choice(
            (
                *LOOSE_OVER_TIME[:1],
                "stddev_over_time",
                "sum_over_time",
                "min_over_time",
                "max_over_time",
                *RATES,
            )
        )
        inner = r.choice(
            (
                selector,
                f"{name}({window})",
                f"quantile_over_time({r.choice(('0.1', '0.5', '0.99'))}, {window})",
            )
        )
        fold = r.choice(("sum", "min", "max", "avg", "count", "quantile"))
        return f"{fold}{self.grouping()} ({'0.7, ' if fold == 'quantile' else ''}{inner})"

    def _folded(self, d, plain):
        r = self.rng
        if not plain and r.random() < 0.25:
            return self._decimals()
        pick = r.random()
        if pick < 0.3:
            return f"{r.choice(EXACT_FOLDS)}{self.grouping()} ({self.vector(d, plain=plain)})"
        inner = self.exact(d, plain=plain)
        if pick < 0.6:
            return f"{r.choice(LOOSE_FOLDS)} ({inner}){self.grouping()}"
        if pick < 0.8:
            return f"quantile{self.grouping()} ({r.choice(('0', '0.25', '0.5', '0.99', '1', '1.5', '-3', 'NaN'))}, {inner})"
        if pick < 0.87:
            two = ", ".join(r.sample(LABELS, 2))  # see differences.TABLE
            return f'count_values{r.choice(("", f" by ({two})", f" without ({two})"))} ("value", {inner})'
        return f"{r.choice(EXACT_FOLDS)}{self.grouping()} ({inner})"

    def _mapped(self, d, plain):
        r = self.rng
        pick = r.random()
        inner = self.exact(d, plain=plain)
        if pick < 0.3:
            return f"{r.choice(SMOOTH_MAPS)}({self.vector(d, plain=plain)})"
        if pick < 0.6:
            name = r.choice(MAPS)
            # See differences.TABLE: kept from where exp overflows.
            return f"{name}({inner} % 700)" if name in ("cosh", "sinh") else f"{name}({inner})"
        if pick < 0.7:
            return f"{r.choice(('clamp_min', 'clamp_max'))}({inner}, {self.number()})"
        if pick < 0.78:
            return f"clamp({inner}, {self.number()}, {self.number()})"
        if pick < 0.84:
            return f"round({inner}, {r.choice(('0.1', '10', '3', '0.25'))})"
        if pick < 0.92:
            finite = f"({inner}) < Inf > -Inf"
            return f"{r.choice(DATES)}({r.choice(('', f'{finite}'))})"
        return f"-{self.metric()}" if plain else f"-{self.selector()}"

    def _with_scalar(self, d, plain):
        r = self.rng
        op = r.choice(("+", "-", "*", "/", "%", "^", "atan2", *COMPARISONS))
        text = f"{op} bool" if op in COMPARISONS and r.random() < 0.4 else op
        if op in ("+", "-", "*", "/") and not plain:
            sides = [self.vector(d), self.scalar(1)]
        else:
            sides = [self.exact(d, plain=plain), self.number()]
        r.shuffle(sides)
        nameless = "1 * " if op == "atan2" else ""  # see differences.TABLE
        return f"{nameless}({sides[0]} {text} {sides[1]})"

    def _joined(self, d, plain):
        r = self.rng
        op = r.choice(
            (
                "+",
                "-",
                "*",
                "/",
                "%",
                "^",
                "atan2",
                *COMPARISONS,
                "and",
                "or",
                "unless",
                "and",
                "or",
                "unless",
            )
        )
        text = f"{op} bool" if op in COMPARISONS and r.random() < 0.4 else op
        if op == "atan2":  # see differences.TABLE
            return f"1 * (({self.exact(d)}) atan2 on(job, instance) ({self.exact(d)}))"
        shape = r.random()
        if shape < 0.25:  # likely to match one to one
            name = r.choice(("errors_total", "memory_bytes", "temperature", "up"))
            other = r.choice(("errors_total", "memory_bytes", "temperature", "up"))
            matching = r.choice(("", "", " on(job, instance)", " ignoring(code)", " ignoring(le)"))
            return f"{self.selector((name,))} {text}{matching} {self.selector((other,))}"
        if shape < 0.5 and op not in ("and", "or", "unless"):
            side = r.random()
            many, one = (
                self.selector(("requests_total", "latency_bucket")),
                self.selector(("errors_total", "up", "memory_bytes")),
            )
            include = r.choice(("", "()", "(version)"))
            if r.random() < 0.4:
                many, one, on = (
                    self.selector(("errors_total", "memory_bytes")),
                    self.selector(("build_info",)),
                    "on(instance)",
                )
            else:
                on = r.choice(("on(job, instance)", "ignoring(code)", "ignoring(code, le)", "on(instance)"))
            if side < 0.5:
                return f"{many} {text} {on} group_left{include} {one}"
            return f"{one} {text} {on} group_right{include} {many}"
        matching = r.choice(("", "", " on({})", " on({})", " ignoring({})")).format(self.labels())
        loose = op in ("+", "-", "*", "/", "and", "or", "unless")
        side = self.vector if loose and r.random() < 0.5 else self.exact
        return f"({side(d)}) {text}{matching} ({side(d)})"

    def _labelled(self, d, plain):
        r = self.rng
        pick = r.random()
        if pick < 0.25:
            form = r.choice(
                (
                    '"to", "$1", "instance", "(.*):.*"',
                    '"job", "", "job", "a.*"',
                    '"to", "x-${1}$2", "job", "(a)?(.*)"',
                    '"__name__", "new", "", ""',
                )
            )
            return f"label_replace({self.vector(d)}, {form})"
        if pick < 0.4:
            return f'label_join({self.vector(d)}, "to", "-", "job", "instance", "none")'
        if pick < 0.55:
            return f"absent({self.vector(d) if r.random() < 0.4 else self.selector()})"
        if pick < 0.75:
            inner = r.choice(
                (
                    "latency_bucket",
                    "rate(latency_bucket[5m])",
                    "sum by (le) (rate(latency_bucket[2m]))",
                    "sum by (le, job) (latency_bucket)",
                    "latency_bucket offset 5m",
                )
            )
            return f"histogram_quantile({r.choice(('0', '0.5', '0.9', '0.99', '1', '-1', '1.5', 'NaN'))}, {inner})"
        if pick < 0.9:
            return f"vector({self.scalar(d)})"
        return f"timestamp({self.metric() if r.random() < 0.5 else self.exact(d)})"

    def top(self):
        r = self.rng
        inner = r.choice(
            (
                self.selector(("memory_bytes",)),
                self.selector(("requests_total",)),
                "sum by (job, instance) (memory_bytes)",
            )
        )
        return f"{r.choice(('topk', 'bottomk'))}{self.grouping()} ({r.choice(('1', '2', '3', '0', '-1', '100', '1.9'))}, {inner})"
