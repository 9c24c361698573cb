"""Scaling: how far off at a scale that was not run, what the bands hold, what the choice costs beside the best.

    python -m benchmarks.pipelines_scale [--trials 40] [--real RUNS.csv …]

Laws × noise × designs, drawn anew for each trial: Amdahl, USL, Ernest's sum, and two that none of ours is (a staircase
of waves of equal tasks, and a power law). Asked at twice and four times the last scale. Beside ours: Ernest's own
four-term fit alone, and Extra-P where `.peers/extrap` has it (its defaults, one parameter). The cost is that of the
choice within a deadline on the fit, at the true law's time, over the cheapest that truly keeps it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weatherglass.pipelines.answers import best_n
from weatherglass.pipelines.fit import fit
from weatherglass.pipelines.price import Flavour, Prices, offer
from weatherglass.pipelines.runs import make, read_csv

EXTRAP = Path(__file__).resolve().parent.parent / ".peers" / "extrap" / "bin" / "python"
EXTRAP_PROGRAM = """
import json, sys
from extrap.entities.coordinate import Coordinate
from extrap.entities.experiment import Experiment
from extrap.entities.measurement import Measurement
from extrap.entities.parameter import Parameter
from extrap.entities.callpath import Callpath
from extrap.entities.metric import Metric
from extrap.modelers.model_generator import ModelGenerator
answers = []
for runs, ask in json.load(sys.stdin):
    experiment = Experiment()
    experiment.add_parameter(Parameter("n"))
    path, metric = Callpath("run"), Metric("seconds")
    experiment.add_callpath(path), experiment.add_metric(metric)
    seen = {}
    for n, seconds in runs:
        seen.setdefault(n, []).append(seconds)
    for n, seconds in sorted(seen.items()):
        experiment.add_coordinate(Coordinate(n))
        experiment.add_measurement(Measurement(Coordinate(n), path, metric, seconds))
    generator = ModelGenerator(experiment)
    generator.model_all()
    model = generator.models[path, metric]
    answers.append([float(model.hypothesis.function.evaluate(n)) for n in ask])
json.dump(answers, sys.stdout)
"""
Law = Callable[[np.ndarray], np.ndarray]
DESIGNS = {
    "1 2 4": [1.0, 2, 4],
    "1 2 4 8": [1.0, 2, 4, 8],
    "1 2 4 8 twice": [1.0, 1, 2, 2, 4, 4, 8, 8],
    "1…16": [1.0, 2, 4, 8, 16],
}
NOISES = (0.02, 0.05, 0.10)


def amdahl(random: np.random.Generator) -> Law:
    serial = random.uniform(0.01, 0.3)
    return lambda n: 300 * (serial + (1 - serial) / n)


def usl(random: np.random.Generator) -> Law:
    sigma, kappa = random.uniform(0.01, 0.15), 10 ** random.uniform(-4, -2)
    return lambda n: 300 * (1 + sigma * (n - 1) + kappa * n * (n - 1)) / n


def ernest(random: np.random.Generator) -> Law:
    a, b, c, d = random.uniform(0, 20), random.uniform(50, 400), random.uniform(0, 5), random.uniform(0, 1)
    return lambda n: a + b / n + c * np.log(n) + d * n


def waves(random: np.random.Generator) -> Law:
    pieces, each, rest = int(random.integers(24, 200)), random.uniform(1, 6), random.uniform(1, 20)
    return lambda n: rest + each * np.ceil(pieces / n)


def power(random: np.random.Generator) -> Law:
    by, rest = random.uniform(0.6, 0.95), random.uniform(0, 10)
    return lambda n: rest + 300 / n**by


LAWS = {"amdahl": amdahl, "usl": usl, "ernest": ernest, "waves": waves, "power": power}


def cost_over_best(law: Law, found: object, last: float) -> float | None:
    """Chosen cost over the cheapest that keeps the deadline, both at true times; None where none keeps it."""
    most = int(last * 4)
    n = np.arange(1, most + 1, dtype=np.float64)
    true = law(n)
    deadline = float(np.quantile(true, 0.4))
    price = Prices({"x": Flavour("x", 1.0, most=most)})
    chosen = offer(price, {"": found}, deadline_s=deadline).chosen  # type: ignore[dict-item]
    costs = n * true
    best = costs[true <= deadline].min()
    return None if chosen is None else float(costs[chosen.n - 1] / best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--real", nargs="*", default=[], help="tables n,seconds: the last scale is left out")
    options = parser.parse_args()
    random = np.random.default_rng(7)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    inside: dict[str, list[bool]] = defaultdict(list)
    stars: list[bool] = []
    costs: list[float] = []
    asked, truths, began = [], [], time.process_time()
    fits = 0
    for name, make_law in LAWS.items():
        for design in DESIGNS.values():
            for noise in NOISES:
                for _ in range(max(options.trials // 4, 1)):
                    law = make_law(random)
                    n = np.array(design)
                    seconds = law(n) * np.exp(noise * random.standard_normal(len(n)))
                    ask = np.array([n.max() * 2, n.max() * 4])
                    found = fit(make(list(n), list(seconds)), draws=500)
                    fits += 1
                    for times, predicted in ((2, 0), (4, 1)):
                        off = abs(found.seconds(ask)[predicted] / law(ask)[predicted] - 1)
                        errors[name, f"ours {times}×"].append(float(off))
                    only = fit(make(list(n), list(seconds)), laws=["ernest"], draws=50)
                    errors[name, "Ernest 2×"].append(float(abs(only.seconds(ask)[0] / law(ask)[0] - 1)))
                    errors[name, "Ernest 4×"].append(float(abs(only.seconds(ask)[1] / law(ask)[1] - 1)))
                    low, high = found.band(ask)
                    took = law(ask) * np.exp(noise * random.standard_normal(2))
                    inside[name] += [bool(a <= b <= c) for a, b, c in zip(low, took, high, strict=True)]
                    if name == "usl":
                        grid = np.arange(1, 1000, dtype=np.float64)
                        true = float(grid[np.argmin(law(grid))])
                        star = best_n(found)
                        stars.append(star.low <= true + 1 and true - 1 <= star.high)
                    over = cost_over_best(law, found, float(n.max()))
                    if over is not None:
                        costs.append(over)
                    asked.append((list(zip(n.tolist(), seconds.tolist(), strict=True)), ask.tolist()))
                    truths.append((name, law(ask).tolist()))
    used = time.process_time() - began
    extrap(asked, truths, errors)
    columns = sorted({column for _, column in errors})
    print(
        f"median error at a scale not run{'':8}"
        + "".join(f"{column:>12}" for column in columns)
        + f"{'in bands':>12}"
    )
    for name in LAWS:
        medians = [np.median(errors[name, one]) if (name, one) in errors else float("nan") for one in columns]
        print(f"  {name:36}" + "".join(f"{one:12.1%}" for one in medians) + f"{np.mean(inside[name]):12.1%}")
    every = {
        one: [off for (_, column), some in errors.items() if column == one for off in some] for one in columns
    }
    total = [hit for some in inside.values() for hit in some]
    print(
        f"  {'all':36}"
        + "".join(f"{np.median(every[one]):12.1%}" for one in columns)
        + f"{np.mean(total):12.1%}"
    )
    print(f"best n of the USL within its interval: {np.mean(stars):.1%}")
    print(
        f"chosen cost over the best: median {np.median(costs) - 1:.1%}, nine of ten within {np.quantile(costs, 0.9) - 1:.1%}"
    )
    print(f"{used / fits * 1000:.0f} CPU-ms a trial (fit, Ernest's alone, bands, choice)")
    for path in options.real:
        real(Path(path))


def extrap(
    asked: list[object], truths: list[tuple[str, list[float]]], errors: dict[tuple[str, str], list[float]]
) -> None:
    """Extra-P on the same runs, into the same table; told where it is not there."""
    done = subprocess.run(
        [EXTRAP, "-c", EXTRAP_PROGRAM], input=json.dumps(asked), capture_output=True, text=True, check=False
    ) if EXTRAP.exists() else None  # fmt: skip
    if done is None or done.returncode:
        why = done.stderr.strip().split("\n")[-1] if done else "no .peers/extrap"
        print(f"Extra-P was not compared: {why}", file=sys.stderr)
        return
    for (name, true), answers in zip(truths, json.loads(done.stdout), strict=True):
        for times, predicted, wanted in zip((2, 4), answers, true, strict=True):
            errors[name, f"Extra-P {times}×"].append(abs(predicted / wanted - 1))


def real(path: Path) -> None:
    """Real runs: the largest scale is left out and asked."""
    runs = read_csv(path.read_text(), str(path))
    last = runs.n.max()
    kept = runs.n < last
    found = fit(make(list(runs.n[kept]), list(runs.seconds[kept])))
    true = float(np.median(runs.seconds[~kept]))
    low, high = found.band(np.array([last]))
    predicted = found.seconds(np.array([last]))[0]
    print(
        f"{path.name}: n = {last:g} took {true:.1f} s, predicted {predicted:.1f} ({low[0]:.1f} to {high[0]:.1f}): {abs(predicted / true - 1):.1%} off"
    )


if __name__ == "__main__":
    main()
