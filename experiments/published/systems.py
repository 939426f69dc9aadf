"""Published figures of ruin, queues and systems of parts, for `run.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from figures import UNREAD, Row, sampled

from raresim import marginals
from raresim.models import Network, Queue, Ruin

CONFIGS = Path(__file__).parents[2] / "configs" / "systems"
EXPONENTIAL = marginals.Exponential()


def ruin() -> Iterator[Row]:
    model = Ruin(claims=EXPONENTIAL, arrival_rate=0.75, premium_rate=1.0)
    yield sampled("RUIN-EXP", "ruin, Exp(1) claims, rho .75, u = 60", model, 60.0, "", 2.2942674037636934e-07)
    model = Ruin(claims=marginals.Exponential(scale=2.0), arrival_rate=1.0, premium_rate=3.0)
    note = "the parameters of SSJ's example; " + UNREAD
    yield sampled("RUIN-SSJ", "ruin, beta .5, lambda 1, c 3, u = 200", model, 200.0, "", 2.2254919e-15, note=note)
    for horizon, exact in ((50.0, 2.7554182925e-5), (200.0, 8.5373822e-5)):
        model = Ruin(claims=EXPONENTIAL, arrival_rate=0.7, premium_rate=1.0, horizon=horizon)
        what = f"ruin by T = {horizon:g}, Exp(1) claims, rho .7, u = 30"
        yield sampled(f"RUIN-{horizon:g}", what, model, 30.0, "", exact, note="exact: Asmussen & Albrecher (2010), V.1")


def queues() -> Iterator[Row]:
    every = marginals.Finite(values=[1.0 / 0.7], probabilities=[1.0])
    model = Queue(service=EXPONENTIAL, interarrival=every, customers=300)
    yield sampled("QUEUE-DM1", "D/M/1, rho .7, P(W > 30)", model, 30.0, "", 5.3075999e-8)
    model = Queue(arrival_rate=0.3, service_rates=[0.7], capacity=20, jumps=200)
    yield sampled("QUEUE-MM1", "M/M/1 (.3, .7), 20 customers before none", model, 20.0, "", 5.826436930385105e-08)
    for rates, capacity, exact in (
        ((0.04, 0.48, 0.48), 25, 2.872231306848526e-25),
        ((0.1, 0.7, 0.2), 20, 1.335145227782489e-06),
        ((0.1, 0.2, 0.7), 20, 1.335145227782489e-06),
    ):
        model = Queue(arrival_rate=rates[0], service_rates=list(rates[1:]), capacity=capacity)
        what = f"tandem {rates}, {capacity} customers before none"
        note = "change of rates after Dupuis, Sezer & Wang (2007)"
        id = "-".join(["QUEUE", *(f"{r:g}" for r in rates)])
        yield sampled(id, what, model, float(capacity), "", exact, note=note, most=400_000)


def systems() -> Iterator[Row]:
    for name, id, terminals, q, exact in (
        ("grid", "NET-GRID-4x4", ["n0", "n15"], 0.02, 0.0008334757809191477),
        ("dodecahedron", "NET-DODECA-1e-2", ["n0", "n17"], 0.01, 2.0618910983343817e-06),
    ):
        model = Network(edges=CONFIGS / f"{name}.csv", terminals=terminals, failure_probability=q)
        yield sampled(id, f"{name}, edges fail with {q:g}", model, 1.0, "", exact, below=True)
    model = Network(units=30, failing=4, consecutive=True, failure_probability=0.06)
    exact = 0.0003296646454127763
    yield sampled("NET-CONSEC-4-OF-30", "four of thirty units in a row", model, 1.0, "", exact, below=True)
    model = Network(edges=CONFIGS / "bridge.csv", terminals=["a", "d"], quantity="shortest_path")
    what, note = "de Boer et al. (2005): shortest path of a bridge, P(L >= 2)", "no scheme: what the search finds"
    yield sampled("NET-BRIDGE-CE", what, model, 2.0, "1.34e-5", 1.3424597497635508e-05, note=note)
    what = "Owen, ch. 9.4: a project of ten tasks, P(end >= 70)"
    model = Network(tasks=CONFIGS / "tasks.csv")
    yield sampled("NET-PERT", what, model, 70.0, "3.18e-5 (se 3.6e-7)", 3.2115255e-5, "1209")


ROWS: tuple[tuple[str, Callable[[], Iterator[Row]]], ...] = (("RUIN", ruin), ("QUEUE", queues), ("NET", systems))
