"""Published figures of credit risk, insurance, market books, paths, ruin, queues and systems, ours beside them.

``python experiments/published/run.py`` writes table.md and table.csv beside this file; with an ID (``CSFB-99``), or the
beginning of one, it prints those rows alone.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from figures import UNREAD, Row, sampled
from insurance import ROWS as OF_INSURANCE
from market import ROWS as OF_MARKETS
from paths import ROWS as OF_PATHS
from scipy import stats
from systems import ROWS as OF_SYSTEMS

from raresim.models import Credit
from raresim.models.obligors.credit_risk_plus import CreditRiskPlus
from raresim.models.obligors.irb import risk_weight

HERE = Path(__file__).parent
CREDIT = HERE.parents[1] / "configs" / "credit"
EXPOSURES = """358475 1089819 1799710 1933116 2317327 2410929 2652184 2957685 3137989 3204044 4727724 4830517 4912097
4928989 5042312 5320364 5435457 5517586 5764596 5847845 6466533 6480322 7727651 15410906 20238895"""
RATES = ".3 .3 .1 .15 .15 .15 .3 .15 .05 .05 .015 .05 .05 .3 .1 .075 .05 .03 .075 .03 .3 .3 .016 .1 .075"


class Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    columns = property(list)


def one_factor(m: int, pd: Any, ead: Any, rho: float, **options: Any) -> Credit:
    table = Table(
        id=[f"n{k}" for k in range(m)], ead=np.broadcast_to(ead, m).tolist(), pd=np.broadcast_to(pd, m).tolist()
    )
    return Credit(tape=table, lgd=1.0, rho=rho, **options)


def glasserman_li(level: int, paper: str, ratio: str, exact: float | None) -> Callable[[], Row]:
    def row() -> Row:
        model = Credit(tape=CREDIT / "glasserman_li_21.csv", lgd=1.0)
        what = f"21 factors, P(L >= {level:,})"
        note = "the paper's event is L > y; its scheme has shifted factors and one twist"
        note += "; exact: importance sampling, 0.3 %" if exact else ""
        return sampled(f"GL21-{level}", what, model, level, paper, exact, ratio, note)

    return row


def t_copula(dof: int, exact: float) -> Callable[[], Row]:
    def row() -> Row:
        scale = math.sqrt(0.0625 + 9 * 0.9375)
        pd = float(stats.t.sf(0.5 * math.sqrt(250) / scale, dof))
        model = one_factor(250, pd, 1.0, (0.25 / scale) ** 2, copula="t", dof=float(dof))
        return sampled(
            f"T-{dof}", f"t copula, {dof} degrees of freedom, 250 obligors", model, 63.0, "", exact, "", UNREAD
        )

    return row


def inhomogeneous() -> Row:
    k = np.arange(1, 101)
    model = one_factor(100, 0.01 * (1 + np.sin(16 * np.pi * k / 100)), np.ceil(5 * k / 100) ** 2, 0.1)
    return sampled("GL-100", "one factor, exposures 1 to 25, P(L >= 250)", model, 250.0, "", 1.0024492157702217e-06)


def homogeneous() -> Row:
    model = one_factor(100, 0.01, 1.0, 0.2)
    return sampled("HOM-100", "one factor, 100 alike, P(20 default)", model, 20.0, "", 0.0004040889029116277)


def sectors() -> Row:
    root = math.sqrt(0.2)
    table = Table(id=list(range(100)), ead=[1.0] * 100, pd=[0.01] * 100)
    table |= {"loading_market": [root] * 100, "loading_sector": [root] * 100, "sector": [k // 20 for k in range(100)]}
    exact = 0.0001152690946230869
    return sampled("SECTOR-A", "market and five sectors, P(30 default)", Credit(tape=table, lgd=1.0), 30.0, "", exact)


def credit_risk_plus() -> Iterator[Row]:
    exposure, rate = (np.array(text.split(), dtype=float) for text in (EXPOSURES, RATES))
    law = CreditRiskPlus.of(exposure, rate, 0.5, math.ceil(exposure.max() / 100), 2e8, banded=True)
    note = "bands of a hundredth of the largest exposure, rounded up"
    what = "CreditRisk+ (1997), appendix B"
    yield Row("CSFB-EL", f"{what}, expected loss", "14,221,863", f"{exposure @ rate:,.0f}", note=note)
    for level, paper in ((0.99, "55,311,503"), (0.995, "62,033,181")):
        value = law.value_at_risk(1 - level)
        yield Row(f"CSFB-{100 * level:g}", f"{what}, {100 * level:g} % quantile", paper, f"{value:,.0f}", note=note)


def irb() -> Iterator[Row]:
    for pd, paper in ((0.0003, 14.44), (0.001, 29.65), (0.01, 92.32), (0.05, 149.85), (0.2, 238.23)):
        ours = 100 * float(risk_weight(np.array([pd]), np.array([0.45]))[0])
        what = f"IRB risk weight in per cent, PD {100 * pd:g} %, LGD 45 %, 2.5 years"
        yield Row(f"IRB-{100 * pd:g}", what, f"{paper:.2f}", f"{ours:.2f}", note="Basel framework, CRE31")


ROWS: tuple[tuple[str, Callable[[], Row | Iterator[Row]]], ...] = (
    ("GL21-10000", glasserman_li(10_000, ".0114", "33", 0.011218371885518783)),
    ("GL21-14000", glasserman_li(14_000, ".0065", "53", None)),
    ("GL21-22000", glasserman_li(22_000, ".0021", "125", 0.0020591605897689737)),
    ("GL21-30000", glasserman_li(30_000, ".0006", "278", None)),
    ("GL-100", inhomogeneous),
    ("HOM-100", homogeneous),
    ("SECTOR-A", sectors),
    ("T-4", t_copula(4, 8.124915067071418e-3)),
    ("T-12", t_copula(12, 1.070119262180198e-05)),
    ("T-20", t_copula(20, 4.38182835781707e-08)),
    ("CSFB", credit_risk_plus),
    ("IRB", irb),
)

HEADS = {
    "id": "ID",
    "what": "what",
    "paper": "paper",
    "ours": "ours",
    "exact": "exact",
    "evaluations": "evaluations, estimate of all",
    "to_five": "estimate to 5 %",
    "ratio": "variance ratio",
    "paper_ratio": "paper's ratio",
    "verdict": "verdict",
    "seconds": "seconds",
    "note": "note",
}


def main(wanted: str = "") -> None:
    rows: list[Row] = []
    for id, make in (*ROWS, *OF_INSURANCE, *OF_MARKETS, *OF_PATHS, *OF_SYSTEMS):
        if id.startswith(wanted) or wanted.startswith(id):
            made = make()
            rows += [made] if isinstance(made, Row) else list(made)
    rows = [row for row in rows if row.id.startswith(wanted)]
    table = [[getattr(row, key) for key in HEADS] for row in rows]
    lines = [f"| {' | '.join(cells)} |" for cells in ([*HEADS.values()], ["---"] * len(HEADS), *table)]
    print("\n".join(lines))
    if not wanted:
        (HERE / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (HERE / "table.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([[*HEADS], *table])


if __name__ == "__main__":
    main(*sys.argv[1:2])
