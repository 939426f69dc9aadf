"""Networks, units out of n and projects: cuts and lifetimes by enumeration, probabilities, and what is refused."""

import math
from itertools import product

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import DataError, FieldError
from raresim.models import Network
from raresim.models.network import failure_of_units
from raresim.models.systems.cut_draws import CutDraws
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.helpers import ROOT
from tests.statistical import assert_mean_is, assert_within_error

CONFIGS = ROOT / "configs" / "systems"
BRIDGE = "from,to\na,b\na,c\nb,c\nb,d\nc,d\n"


@pytest.fixture
def write(tmp_path):
    def written(text, name="edges.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


def failed_by_enumeration(model, q):
    """The probability that the system has failed, over all states of its parts, and its minimal cuts."""
    loss = model.loss
    d = len(loss.laws)
    states = np.array(list(product([0.0, 1.0], repeat=d)))  # lifetime 0: failed
    out = np.empty(len(states))
    loss(np.asfortranarray(states), out)
    failed = {tuple(np.flatnonzero(s == 0)) for s, t in zip(states, out, strict=True) if t == 0}
    minimal = {c for c in failed if not any(tuple(x for x in c if x != part) in failed for part in c)}
    return math.fsum(q ** len(c) * (1 - q) ** (d - len(c)) for c in failed), minimal


@pytest.mark.parametrize("terminals", [["a", "d"], ["b", "c"], ["a", "b", "d"], []], ids=str)
def test_minimal_cuts_and_lifetimes_of_a_bridge(terminals, write):
    model = Network(edges=write(BRIDGE), terminals=terminals, failure_probability=0.01)
    exact, minimal = failed_by_enumeration(model, 0.01)
    assert set(model.loss.cuts) == minimal
    if terminals == ["a", "d"]:
        assert exact == pytest.approx(2.019502e-4, rel=1e-6)  # 1 - (2p^2 + 2p^3 - 5p^4 + 2p^5)


@pytest.mark.parametrize("consecutive", [False, True])
def test_units_out_of_n_by_enumeration(consecutive):
    model = Network(units=7, failing=3, consecutive=consecutive, failure_probability=0.2)
    exact, minimal = failed_by_enumeration(model, 0.2)
    assert set(model.loss.cuts) == minimal
    assert failure_of_units(model.loss, 0.2) == pytest.approx(exact, rel=1e-12)


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_rows_of_cuts_have_the_law_of_the_model(write, seed):
    model = Network(edges=write(BRIDGE), terminals=["a", "d"], failure_probability=0.2)
    events = (Event(0.5, direction="below"), Event(1.0, direction="below"))
    rows = CutDraws(Sampler(Problem(model.inputs, model.loss), None, seed(1)), events, (0.5, 1.0))
    u = rows.draw(Block(0, 0, 0, 20_000))
    x = np.empty(u.shape, order="F")
    loss = np.empty(20_000)
    model.loss(model.inputs.to_physical(u, x), loss)
    weight = np.exp(rows.log_weight(u))
    for time in (0.5, 1.0):
        q = float(model.loss.laws[0].cdf(time))
        assert_mean_is(weight * (loss <= time), failed_by_enumeration(model, q)[0])
    assert loss.max() <= 1.0
    assert weight.max() <= 2.0 * math.exp(rows.log_union[1]) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("name", "rows_to_five"), [("network-grid", 10), ("network-dodecahedron", 10), ("units-in-a-row", 50)]
)
@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_reference_systems(name, rows_to_five, seed):
    from raresim.config import load as configs

    experiment = configs.load(CONFIGS / f"{name}.yaml").experiment()
    (given,) = experiment.measures
    result = raresim.estimate(
        experiment.model, measures=raresim.Probability(below=1.0), seed=seed(2), relative_error=0.05
    )
    (found,) = result.estimates
    assert_within_error(found.value, given.reference.value, found.std_error)
    assert found.verdict.status is Status.TRUSTED
    assert result.evaluations["total"] <= 1000
    assert result.evaluations["estimate"] * (found.relative_error / 0.05) ** 2 < rows_to_five


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_project_by_its_ways(seed):
    model = Network(tasks=CONFIGS / "tasks.csv")
    assert len(model.loss.paths) == 5
    result = raresim.estimate(
        model,
        measures=raresim.Probability(above=70.0),
        seed=seed(3),
        relative_error=0.05,
        method=raresim.Auto(scheme="only"),
    )
    (found,) = result.estimates
    assert_within_error(found.value, 3.2115255e-05, found.std_error)
    assert found.verdict.status is Status.TRUSTED


def test_longest_and_shortest_ways_by_all_paths(write, seed):
    project = Network(tasks=CONFIGS / "tasks.csv").loss
    x = np.asfortranarray(np.random.default_rng(1).exponential(size=(200, 10)))
    lengths = np.stack([x[:, list(path)].sum(axis=1) for path in project.paths], axis=1)
    out = np.empty(200)
    project(x, out)
    np.testing.assert_allclose(out, lengths.max(axis=1))
    shortest = Network(edges=CONFIGS / "bridge.csv", terminals=["a", "d"], quantity="shortest_path").loss
    y = np.asfortranarray(x[:, :5])
    ways = [(0, 3), (1, 4), (0, 2, 4), (1, 2, 3)]
    shortest(y, out)
    np.testing.assert_allclose(out, np.min([y[:, list(way)].sum(axis=1) for way in ways], axis=0))


def test_all_terminals_are_connected_as_networkx_says():
    networkx = pytest.importorskip("networkx")
    model = Network(edges=CONFIGS / "dodecahedron.csv", failure_probability=0.01)
    rng, (a, b) = np.random.default_rng(2), np.array(model.graph.ends).T
    x = np.asfortranarray(rng.exponential(size=(30, a.size)))
    out = np.empty(30)
    model.loss(x, out)
    for row, time in zip(x, out, strict=True):
        alive = {
            k: list(zip(a[row > at], b[row > at], strict=True)) for k, at in (("just", time * 0.999), ("no", time))
        }
        graphs = {k: networkx.Graph(edges) for k, edges in alive.items()}
        for graph in graphs.values():
            graph.add_nodes_from(range(len(model.graph.nodes)))
        assert networkx.is_connected(graphs["just"])
        assert not networkx.is_connected(graphs["no"])


def test_a_network_with_too_many_cuts_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("raresim.models.systems.graph.MOST_CUTS", 500)
    edges = [f"{i}-{j},{i + 1}-{j}" for i in range(5) for j in range(6)] + [
        f"{i}-{j},{i}-{j + 1}" for i in range(6) for j in range(5)
    ]
    (tmp_path / "large.csv").write_text("from,to\n" + "\n".join(edges) + "\n")
    model = Network(edges=tmp_path / "large.csv", terminals=["0-0", "5-5"], failure_probability=0.01)
    assert model.loss.cuts is None
    assert "too many minimal cuts" in model.notes()[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from,to\na,b\nb,b\n", r"edges.csv:3:to: must differ from the other end: 'b' is a loop"),
        ("from,to\na,b\nb,c\nb,a\n", r"edges.csv:4:to: the edge 'b' - 'a' is in row 2 already"),
        (
            "from,to,failure_probability\na,b,1.5\n",
            "edges.csv:2:failure_probability: must be above 0 and below 1, got 1.5",
        ),
        ("from,to,mean\na,b,0\n", "edges.csv:2:mean: must be above 0, got 0"),
        ("from,to,mean,failure_probability\na,b,1,0.1\n", "must have one of the columns failure_probability and mean"),
        ("from,to,name,mean\na,b,x,1\nb,c,x,2\n", "names of edges must differ, got 'x' twice"),
        ("from,mean\na,1\n", "edges.csv.*to"),
    ],
)
def test_bad_edge_lists_name_row_and_column(text, message, write):
    with pytest.raises(DataError, match=message):
        Network(edges=write(text), law=None if "mean" in text or "failure" in text else marginals.Exponential())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,after,mean\na,b,1\nb,c,1\nc,a,1\n", r"tasks.csv:2:after: .* got the cycle a after b after c after a"),
        ("task,after,mean\na,a,1\n", "got the cycle a after a"),
        ("task,after,mean\na,,1\na,,2\n", "tasks.csv:3:task: 'a' is in row 2 already"),
        ("task,after,mean\na,z,1\n", "tasks.csv:2:after: 'a' waits for 'z', which is no task of the file"),
        ("task,after\na,\n", "must have the column mean"),
    ],
)
def test_bad_projects_name_row_and_column(text, message, write):
    with pytest.raises(DataError, match=message):
        Network(tasks=write(text, "tasks.csv"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"terminals": ["a", "z"]}, r"^terminals\[1\]: .*'z'"),
        ({"terminals": ["a", "a"]}, r"^terminals\[1\]: must differ"),
        ({"terminals": ["a"]}, "^terminals: must be at least two nodes"),
        ({"terminals": ["a", "x"]}, "^terminals: must be connected, got 'a' and 'x' without a path between them"),
        ({"terminals": [], "quantity": "shortest_path"}, "^terminals: must be"),
        ({"failure_probability": 1.0}, "^failure_probability: must be above 0 and below 1"),
        ({"law": marginals.Exponential()}, "^failure_probability: must be left out beside law"),
        ({"units": 3}, "^edges: exactly one of edges, tasks and units must be given"),
        ({"failing": 3}, "^failing: must be left out without units"),
        ({"edges": None}, "^edges: exactly one of"),
        ({"edges": None, "units": 3}, "^failing: is required beside units"),
        ({"edges": None, "units": 3, "failing": 4}, "^failing: must be at most 3"),
        ({"edges": None, "units": 3, "failing": 1, "terminals": ["a"]}, "^terminals: must be left out without edges"),
        (
            {"edges": None, "units": 3, "failing": 1, "failure_probability": None},
            "^law: is required beside units, or failure_probability",
        ),
        (
            {"edges": None, "units": 3, "failing": 1, "failure_probability": None, "law": marginals.Normal()},
            "^law: must be a law of numbers that are not negative",
        ),
    ],
)
def test_what_is_refused(arguments, message, write):
    given = {"edges": write(BRIDGE + "x,y\n"), "failure_probability": 0.1} | arguments
    with pytest.raises(FieldError, match=message):
        Network(**given)
