"""How often do the intervals hold the truth, and on which side do they miss? Thousands of samples of known law.

``python experiments/trust/intervals.py`` draws 20,000 samples a cell and writes intervals.md beside this file, in some
minutes. ``--quick`` draws few, writes nothing, and fails on results that chance gives one time in a million.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import gammainccinv, gammaincinv, logsumexp, ndtri

from raresim.accumulators.bets import STAKES, Bets, add_winnings
from raresim.diagnostics.psis import khat
from raresim.diagnostics.row_checks import tail_is_trusted
from raresim.estimators.guarantee import Goal, chance_of_more, hits_for
from raresim.measures.intervals import HEAVY_DOF, HEAVY_KHAT, LOOK_INFLATION, clopper_pearson, log_scale, widened
from raresim.run.looks import MARGIN, next_size, rows_to

HERE = Path(__file__).parent
SEED = 20261125
SEEDS, QUICK_SEEDS = 20_000, 1_000
CONFIDENCE = 0.95
CHANCE = 1e-6
AT_ONCE = 2_000_000
BATCHES = 16
HITS = (300, 1_000, 3_000)
TARGET = 0.05

Array = np.ndarray


@dataclass(frozen=True)
class Law:
    """Law of the weights of hits, where every second draw hits; ``k`` is the Pareto shape of the weights."""

    name: str
    k: float
    of: Callable[[Array], Array]
    mean: float

    @property
    def exact(self) -> float:
        """The probability that a sample estimates."""
        return 0.5 * self.mean

    def rows(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        """The weights of independent draws, zero without a hit."""
        u = 1.0 - rng.random(shape)
        return np.where(u <= 0.5, self.of(np.minimum(2.0 * u, 1.0)), 0.0)


def pareto(k: float) -> Law:
    return Law(f"Pareto, k = {k:g}", k, lambda u: u**-k, 1.0 / (1.0 - k))


def lognormal(sigma: float) -> Law:
    return Law(f"lognormal, sigma = {sigma:g}", 0.0, lambda u: np.exp(-sigma * ndtri(u)), math.exp(0.5 * sigma**2))


LAWS = [*map(pareto, (0.1, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6)), *map(lognormal, (1.0, 1.5, 2.0))]


def half_width(dof: int | None) -> float:
    """Half the log-scale interval, in relative standard errors."""
    return math.log(log_scale(1.0, 1.0, CONFIDENCE, dof)[1])


NORMAL, STUDENT = half_width(None), half_width(HEAVY_DOF)


def tail_of(x: Array) -> tuple[float, bool]:
    """The quantile that a run would use for the rows ``x``, and whether it would call the interval a 95 % one."""
    hits = x[x > 0]
    most = min(hits.size, 3 + int(3.0 * math.sqrt(hits.size)))
    shape = khat(np.log(np.partition(hits, hits.size - most)[-most:]), hits.size)
    heavy = shape is None or shape >= HEAVY_KHAT
    return STUDENT if heavy else NORMAL, tail_is_trusted(shape, hits.max() / hits.mean(), hits.size)


def chunks(seeds: int, n: int) -> Iterator[int]:
    """Numbers of samples of ``n`` rows to draw at once, ``seeds`` in all."""
    size = max(1, AT_ONCE // n)
    return (min(size, seeds - first) for first in range(0, seeds, size))


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


class Misses(list[str]):
    """The results that chance hardly explains if the intervals are as good as they have to be."""

    def at_least(self, what: str, held: int, n: int, least: float) -> None:
        if n and stats.binom.cdf(held, n, least) < CHANCE:
            self.append(f"{what}: {held} of {n} hold the truth, {least:.1%} wanted")


def weighted(rng: np.random.Generator, seeds: int, misses: Misses) -> list[str]:
    """Coverage of the candidates for the log-scale interval, and of the chosen one."""
    rows = []
    for law in LAWS:
        for hits in HITS:
            off, error, batch, quantile, named = _samples(rng, law, 2 * hits, seeds)
            halves = [
                NORMAL * error,
                STUDENT * error,
                STUDENT * batch,
                STUDENT * np.maximum(error, batch),
                quantile * error,
            ]
            cover = [np.mean(np.abs(off) <= half) for half in halves]
            chosen = np.abs(off) <= halves[-1]
            below, above = np.mean(off < -halves[-1]), np.mean(off > halves[-1])
            among = percent(chosen[named].mean()) if named.any() else "-"
            cells = [*map(percent, cover), percent(below), percent(above), percent(named.mean()), among]
            rows.append(f"| {law.name} | {hits:,} | " + " | ".join(cells) + " |")
            if (
                law.k < 0.5
                and law.name != "lognormal, sigma = 2"
                and (hits > 300 or law.name != "lognormal, sigma = 1.5")
            ):
                misses.at_least(f"{law.name}, {hits} hits", int(chosen.sum()), seeds, 0.94)
            if law.k == 0.6 and np.mean(named) > 0.5:
                misses.append(
                    f"{law.name}, {hits} hits: {np.mean(named):.0%} of the runs call the interval one of 95 %"
                )
    return rows


def _samples(rng: np.random.Generator, law: Law, n: int, seeds: int) -> tuple[Array, Array, Array, Array, Array]:
    """Log of estimate / truth, relative error, error of batches, quantile, and whether the interval is a 95 % one."""
    parts = []
    for size in chunks(seeds, n):
        x = law.rows(rng, (size, n))
        mean = x.mean(axis=1)
        error = x.std(axis=1, ddof=1) / mean / math.sqrt(n)
        means = np.stack([x[:, j::BATCHES].mean(axis=1) for j in range(BATCHES)], axis=1)
        batch = means.std(axis=1, ddof=1) / mean / math.sqrt(BATCHES)
        quantile, named = zip(*map(tail_of, x), strict=True)
        parts.append((np.log(mean / law.exact), error, batch, np.array(quantile), np.array(named)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def guaranteed(rng: np.random.Generator, seeds: int, misses: Misses) -> list[str]:
    """How often the estimate with a relative guarantee is off by more than it says, and its cost in rows."""
    rows = []
    for error, confidence in ((0.2, 0.95), (0.1, 0.95), (0.1, 0.99), (0.05, 0.95)):
        k = hits_for(error, confidence)
        tail = 0.5 * (1.0 - confidence)
        low, high = gammaincinv(k, tail), gammainccinv(k, tail)
        for p in (0.5, 1e-2, 1e-4):
            last = k + rng.negative_binomial(k, p, seeds)
            time = rng.standard_gamma(last)
            off = np.abs((k - 1) / time / p - 1.0) > error
            below, above = np.mean(high / time < p), np.mean(low / time > p)
            drawn = [_drawn(rng, k, p) for _ in range(min(seeds, 2_000))]
            cells = [
                f"{k:,}",
                f"{p:g}",
                f"{100 * chance_of_more(k, error):.2f}",
                f"{100 * off.mean():.2f}",
                f"{100 * below:.2f}",
                f"{100 * above:.2f}",
                f"{last.mean() * p / k:.4f}",
                f"{np.mean(drawn) * p / k:.4f}",
            ]
            rows.append(f"| {error:g} | {confidence:g} | " + " | ".join(cells) + " |")
            misses.at_least(f"guarantee of {error} at {p:g}", int((~off).sum()), seeds, confidence)
            spread = np.std(drawn) / math.sqrt(len(drawn))
            if np.mean(drawn) - 5 * spread > 1.02 * k / p:
                misses.append(f"guarantee of {error} at {p:g}: {np.mean(drawn) * p / k:.4f} times the rows of theory")
    return rows


def _drawn(rng: np.random.Generator, k: int, p: float) -> int:
    """Rows that a run draws until the look with hit ``k``, those after it included."""
    n, hits = k, int(rng.binomial(k, p))
    while hits < k:
        more = rows_to(hits, k - hits, n)
        n, hits = n + more, hits + int(rng.binomial(more, p))
    return n


def short_of_hits(rng: np.random.Generator, seeds: int, misses: Misses) -> list[str]:
    """Coverage of the two intervals of a run with a guarantee together, where its budget may end first."""
    rows = []
    p, goal = 1e-3, Goal.of(TARGET, CONFIDENCE)
    k = goal.hits
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = gammaincinv(k, tail), gammainccinv(k, tail)
    for share in (0.5, 0.9, 1.0, 1.1, 2.0):
        budget = math.ceil(share * k / p)
        last = k + rng.negative_binomial(k, p, seeds)
        time = rng.standard_gamma(last)
        reached = last <= budget
        fewer = stats.binom.cdf(k - 1, budget, p)
        hits = stats.binom.ppf(fewer * rng.random(seeds), budget, p).astype(int)
        ends = {h: clopper_pearson(h, budget, CONFIDENCE) for h in set(hits.tolist())}
        exact = np.array([ends[h] for h in hits.tolist()])
        lower, upper = np.where(reached, low / time, exact[:, 0]), np.where(reached, high / time, exact[:, 1])
        below, above = np.mean(upper < p), np.mean(lower > p)
        held = np.mean((lower <= p) & (p <= upper))
        cells = [percent(s) for s in (reached.mean(), held, below, above)]
        rows.append(f"| {share:g} | " + " | ".join(cells) + " |")
        misses.at_least(f"guarantee with {share:g} of the budget", round(held * seeds), seeds, 0.935)
    return rows


def counted(quick: bool, misses: Misses) -> list[str]:
    """The least coverage of Clopper-Pearson in each range of expected hits, which is at an end of an interval."""
    n, most = 1_000_000, 200 if quick else 1_300
    ends = np.array([clopper_pearson(h, n, CONFIDENCE) for h in range(most + 1)])
    edges = [0.01, 0.1, 1.0, 10.0, 100.0] if quick else [0.01, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0]
    rows = []
    for first, last in pairwise(edges):
        grid = np.geomspace(first / n, last / n, 60)
        jumps = ends.ravel()[(ends.ravel() > first / n) & (ends.ravel() < last / n)]
        p = np.unique(np.concatenate([grid, jumps * (1 - 1e-9), jumps * (1 + 1e-9)]))
        hits = np.arange(most + 1)
        mass = stats.binom.pmf(hits, n, p[:, None])
        below = (mass * (ends[:, 1] < p[:, None])).sum(axis=1)
        above = (mass * (ends[:, 0] > p[:, None])).sum(axis=1)
        cover = 1.0 - below - above - stats.binom.sf(most, n, p)
        typical = (1.0 - below - above)[np.isin(p, grid)].mean()
        at = int(cover.argmin())
        cells = [
            f"{100 * cover[at]:.2f}",
            f"{p[at] * n:.3g}",
            percent(typical),
            percent(below.max()),
            percent(above.max()),
        ]
        rows.append(f"| {first:g} to {last:g} | " + " | ".join(cells) + " |")
        if cover[at] < CONFIDENCE - 1e-6:
            misses.append(f"Clopper-Pearson covers {cover[at]:.4%} at {p[at] * n:.3g} expected hits")
    return rows


def stopped(rng: np.random.Generator, seeds: int, misses: Misses) -> list[str]:
    """Coverage where the running error decides when to stop."""
    rows = []
    for law in (None, lognormal(1.0), pareto(0.3), pareto(0.4)):
        name = "counts, P = 0.05" if law is None else law.name
        needed = 0.95 / 0.05 if law is None else _relative_variance(law)
        most = 1_000 * math.ceil(4.0 * needed / TARGET**2 / 1_000)
        for rule, words in RULES.items():
            held, below, above, looks, size = _stopped(rng, law, rule, most, seeds)
            cells = [f"{looks:.1f}", f"{size:,.0f}", *map(percent, (held, below, above))]
            rows.append(f"| {name} | {words} | " + " | ".join(cells) + " |")
            misses.at_least(f"{name}, {words}", round(held * seeds), seeds, 0.935)
    return rows


RULES = {
    "pilot": "planned from a pilot of 1,000 rows",
    "own": "first look at a quarter of the rows",
    "1": "1 look",
    "10": "up to 10 looks",
    "1000": "up to 1,000 looks",
}


def _relative_variance(law: Law) -> float:
    u = (np.arange(10**6) + 0.5) / 10**6
    return float(2.0 * np.mean(law.of(u) ** 2) / law.mean**2 - 1.0)


def _stopped(
    rng: np.random.Generator, law: Law | None, rule: str, most: int, seeds: int
) -> tuple[float, float, float, float, float]:
    """Shares of the intervals that hold, lie below and lie above the truth; mean looks and rows."""
    outcomes = []
    exact = 0.05 if law is None else law.exact
    for size in chunks(seeds, 4 * most):
        x = (rng.random((size, most)) < exact).astype(float) if law is None else law.rows(rng, (size, most))
        pilots = None
        if rule == "pilot":
            pilot = (rng.random((size, 1_000)) < exact).astype(float) if law is None else law.rows(rng, (size, 1_000))
            mean = pilot.mean(axis=1)
            pilots = np.where(mean > 0, pilot.var(axis=1) / np.maximum(mean, 1e-12) ** 2, 1.0)
        sums, squares = np.cumsum(x, axis=1), np.cumsum(x**2, axis=1)
        for i in range(size):
            first = None if pilots is None else math.ceil(MARGIN * pilots[i] / TARGET**2)
            n, looks = _size(sums[i], squares[i], rule, most, first)
            factor = 1.0 if looks == 1 and rule in ("pilot", "1") else LOOK_INFLATION
            outcomes.append((*_interval(x[i, :n], law, factor), looks, n))
    low, high, looks_, n_ = np.array(outcomes).T
    return (
        float(np.mean((low <= exact) & (exact <= high))),
        float(np.mean(high < exact)),
        float(np.mean(low > exact)),
        float(looks_.mean()),
        float(n_.mean()),
    )


def _size(sums: Array, squares: Array, rule: str, most: int, first: int | None) -> tuple[int, int]:
    """Rows at which a run stops, at most ``most``, and its looks."""
    n = np.arange(1, most + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(n * squares / sums**2 - 1.0, 0.0) / (n - 1))
    error[sums == 0] = math.inf
    if rule in ("pilot", "own"):
        at, looks = min(most, max(400, first or most // 16)), 1
        while error[at - 1] > TARGET and at < most:
            at = min(most, at + next_size(at, float(error[at - 1]) / TARGET))
            looks += 1
        return at, looks
    if rule == "1":
        return most // 4, 1
    step = most // int(rule)
    enough = error[step - 1 :: step] <= TARGET
    looks = int(enough.argmax()) + 1 if enough.any() else enough.size
    return looks * step, looks


def _interval(x: Array, law: Law | None, factor: float) -> tuple[float, float]:
    value = float(x.mean())
    if law is None:
        return widened(clopper_pearson(int(x.sum()), x.size, CONFIDENCE), value, factor)
    half = tail_of(x)[0] * factor * float(x.std(ddof=1)) / value / math.sqrt(x.size)
    return value * math.exp(-half), value * math.exp(half)


def betted(rng: np.random.Generator, seeds: int, misses: Misses) -> list[str]:
    """Coverage of intervals of bets at all looks together, beside the standard intervals."""
    rows = []
    cells = [
        ("counts, P = 0.5", 0.5, 10_000),
        ("counts, P = 0.01", 0.01, 100_000),
        ("10 % from the target", None, 20_000),
    ]
    for name, p, n in cells:
        looks, bound = 50, 1.0 if p else 10.0
        exact = p or float(stats.norm.sf(2.0))
        sizes = n // looks * np.arange(1, looks + 1)
        outcomes, ratios = [], []
        for seed in range(seeds):
            if p:
                hits = np.cumsum(rng.binomial(n // looks, p, looks))
                won, values = np.outer(hits, np.log1p(STAKES)), hits / sizes
                errors = np.sqrt((1.0 - values) / np.maximum(values * sizes, 1e-9))
            else:
                won, values, errors = _defensive(rng, n, looks)
            inside = [np.exp(_log_money(won, sizes, exact / bound, side)) < 40.0 for side in (STAKES < 0, STAKES > 0)]
            standard = np.abs(np.log(np.maximum(values, 1e-300) / exact)) <= NORMAL * errors
            outcomes.append((inside[0] & inside[1], standard))
            if seed < 50:
                low, high = Bets(n, math.log(bound), won[-1:]).interval(0, CONFIDENCE)
                ratios.append((high - low) / (2.0 * values[-1] * math.sinh(NORMAL * errors[-1])))
        held = np.array(outcomes)
        cover = [held[:, which, -1].mean() for which in (0, 1)]
        always = [held[:, which].all(axis=1).mean() for which in (0, 1)]
        columns = [f"{bound:g}", f"{n:,}", f"{looks}", *map(percent, (cover[0], always[0], cover[1], always[1]))]
        rows.append(f"| {name} | " + " | ".join([*columns, f"{np.median(ratios):.2f}"]) + " |")
        misses.at_least(f"bets, {name}", round(always[0] * seeds), seeds, CONFIDENCE)
    return rows


def _defensive(rng: np.random.Generator, n: int, looks: int) -> tuple[Array, Array, Array]:
    """Winnings, estimates and errors at each look for N(0, 1) beyond 2, with nine tenths of the draws from N(2, 1)."""
    x = rng.standard_normal(n) + np.where(rng.random(n) < 0.9, 2.0, 0.0)
    y = np.where(x >= 2.0, 1.0 / (0.1 + 0.9 * np.exp(2.0 * x - 2.0)), 0.0)
    won = np.zeros((looks, STAKES.size))
    for out, part in zip(won, y.reshape(looks, -1), strict=True):
        add_winnings(part[part > 0] / 10.0, STAKES, out)
    sizes = n // looks * np.arange(1, looks + 1)
    sums, squares = (np.cumsum(v)[n // looks - 1 :: n // looks] for v in (y, y**2))
    errors = np.sqrt((sizes * squares / sums**2 - 1.0) / (sizes - 1))
    return np.cumsum(won, axis=0), sums / sizes, errors


def _log_money(won: Array, n: Array, mean: float, side: Array) -> Array:
    logs = won[:, side] - n[:, None] * np.log1p(STAKES[side] * mean)
    return logsumexp(logs, axis=1) - math.log(np.count_nonzero(side))


def page(parts: list[list[str]], seeds: int) -> str:
    heads = [
        (
            "Weighted estimates",
            "Every second row hits; the weights of the hits have the law in the first column. Coverage in % of the"
            " log-scale interval at 95 % with the normal quantile, with Student's t and 15 degrees of freedom, with the"
            f" error of {BATCHES} batches of rows and that t, with the larger of the two errors and that t, and as it"
            " was chosen: t with 15 degrees of freedom where k-hat is at least 0.3, else normal. Then how often that"
            " lies below and above the truth, how many of the runs call it one of 95 %, and its coverage among them.",
            "weights | hits | normal | t | batches | larger | chosen | below | above | called 95 % | coverage then",
        ),
        (
            "A relative guarantee",
            "`guarantee: relative` stops at a number of hits. In % of the runs: by its law and as seen, how many are"
            " off by more than the error; how many intervals lie below and above the truth. Then the rows up to the"
            " last hit and those that a run draws, divided by hits / P.",
            "error | confidence | hits | P | off, by law | off, seen | below | above | rows to the hit | rows drawn",
        ),
        (
            "A guarantee whose budget may end first",
            f"P = 0.001, a standard error of {TARGET:.0%} at 95 %; budget in units of hits / P. In % of the runs: how"
            " many reach the hits, and the coverage of the interval of the hits, or of the draws where the budget"
            " ended, and its misses.",
            "budget | reached | coverage | below | above",
        ),
        (
            "Counts",
            "Clopper-Pearson at 95 % of a million draws, not simulated: the least coverage in each range of expected"
            " hits, which is next to an end of an interval, where that is, the mean over the range, and the most that"
            " lies on each side, in %.",
            "expected hits | least | at | mean | below, at most | above, at most",
        ),
        (
            "Stopping when the error is small",
            f"A relative error of {TARGET:.0%} is asked. The first two rules are those of the program, with a pilot and"
            " without; then a sample of fixed size; then a look after equal numbers of rows, which the program does not"
            " do. Where the sample chose its size, the interval is widened by 5 %. Rows, looks, and % of the runs.",
            "weights | rule | looks | rows | coverage | below | above",
        ),
        (
            "Bets",
            "`interval: betting` holds at every look together; the standard interval of a fixed size does not. Coverage"
            " in % at the last look and at all looks, of both, and the median of their widths, divided by each other.",
            "rows | bound | n | looks | betting, last | all | standard, last | all | times as wide",
        ),
    ]
    text = ["# Intervals", "", f"Written by `python experiments/trust/intervals.py`: {seeds:,} samples a row."]
    for (title, words, head), rows in zip(heads, parts, strict=True):
        text += ["", f"## {title}", "", words, "", f"| {head} |", "|---" + "|--:" * head.count("|") + "|", *rows]
    return "\n".join([*text, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples; writes nothing, fails on a miss")
    quick = parser.parse_args().quick
    seeds = QUICK_SEEDS if quick else SEEDS
    rng, misses = np.random.default_rng(SEED), Misses()
    parts = [
        weighted(rng, seeds // 4 if quick else seeds, misses),
        guaranteed(rng, seeds, misses),
        short_of_hits(rng, seeds, misses),
        counted(quick, misses),
        stopped(rng, seeds // 10 if quick else seeds, misses),
        betted(rng, seeds // 10 if quick else seeds // 4, misses),
    ]
    text = page(parts, seeds)
    print(text)
    print(*misses, f"{len(misses)} misses", sep="\n")
    if not quick:
        (HERE / "intervals.md").write_text(text, encoding="utf-8")
    return bool(misses)


if __name__ == "__main__":
    sys.exit(main())
