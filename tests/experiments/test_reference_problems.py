"""The reference problems of the study of methods: complete, vectorised, and as probable as they are said to be."""

import csv
import hashlib
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.statistical import assert_within_error

STUDY = Path(__file__).parents[2] / "experiments" / "methods"
BLOCK_BYTES = 1 << 25


def module():
    """The file of the study: it is no part of the package, and its name must not hide another module."""
    spec = importlib.util.spec_from_file_location("reference_problems", STUDY / "problems.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # its dataclasses look their annotations up there
    spec.loader.exec_module(loaded)
    return loaded


problems = module()
PROBLEMS = problems.PROBLEMS


def rows(name):
    with (STUDY / "data" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def losses(problem, u):
    return problem.loss(problem.inputs.to_physical(u, np.empty((len(u), problem.inputs.dim), order="F")))


def estimate(problem, rng, n, mean=0.0, std=1.0):
    """Probability and its standard error from ``n`` or more latent draws of ``N(mean, std^2)``, weighted."""
    mean, std = np.broadcast_to(mean, problem.dim), np.broadcast_to(std, problem.dim)
    size = min(n, BLOCK_BYTES // (8 * problem.dim))
    (threshold,) = problem.measure.thresholds
    terms = []
    for _ in range(math.ceil(n / size)):
        e = np.asfortranarray(rng.standard_normal((problem.dim, size)).T)
        u = np.asfortranarray(mean + std * e)
        loss = losses(problem, u)
        hit = loss >= threshold if problem.measure.direction == "above" else loss <= threshold
        log_weight = 0.5 * (np.square(e[hit]) - np.square(u[hit])).sum(axis=1) + np.log(std).sum()
        terms.append(np.zeros(size))
        terms[-1][hit] = np.exp(log_weight)
    terms = np.concatenate(terms)
    return terms.mean(), terms.std() / math.sqrt(terms.size)


def test_every_reference_has_a_problem_and_every_problem_a_reference():
    references = rows("references.csv")
    assert len(references) == len(PROBLEMS) == 89
    assert [row["id"] for row in references] == list(PROBLEMS)
    assert problems.definitions().keys() == PROBLEMS.keys()
    for row in references:
        problem = PROBLEMS[row["id"]]
        assert problem.dim == int(row["dimension"])
        assert 0.0 < problem.probability < 1.0
        assert 0.0 < problem.rel_accuracy < 0.01
        assert all((problem.title, *problem.difficulty, row["reference"], row["source"]))
        assert len(problem.measure.thresholds) == 1


def test_the_hash_of_the_name_alone_holds_a_problem_out():
    for row in rows("references.csv"):
        number = int.from_bytes(hashlib.sha256(row["id"].encode("utf-8")).digest(), "big")
        assert PROBLEMS[row["id"]].held_out == (number % 3 == 0)
        assert row["set"] == ("held out" if number % 3 == 0 else "tuning")
    assert sum(problem.held_out for problem in PROBLEMS.values()) == 38


@pytest.mark.parametrize("name", ["peers.csv", "published.csv"])
def test_figures_of_others_are_about_known_problems(name):
    table = rows(name)
    assert {row.get("id", row.get("problem")) for row in table} <= PROBLEMS.keys()
    for row in table:
        if name == "peers.csv":
            assert float(row["mean_calls"]) > 0
        else:
            assert row["probability"] or row["variance_ratio"]
            assert not row["probability"] or 0.0 < float(row["probability"]) < 1.0


@pytest.mark.parametrize("id", PROBLEMS)
def test_a_batch_is_its_rows_in_either_order_of_memory(id, seed):
    problem = PROBLEMS[id]
    u = np.asfortranarray(2.0 * np.random.default_rng(seed(1)).standard_normal((5, problem.dim)))
    x = problem.inputs.to_physical(u, np.empty((5, problem.inputs.dim), order="F")).copy(order="F")
    given = x.copy()
    loss = problem.loss(x)
    assert loss.shape == (5,)
    assert loss.dtype == np.float64
    assert np.isfinite(loss).all()
    assert (x == given).all()
    tolerance = {"rtol": 1e-10, "atol": 1e-10 * np.abs(loss).max()}
    np.testing.assert_allclose(problem.loss(np.ascontiguousarray(x)), loss, **tolerance)
    np.testing.assert_allclose(np.concatenate([problem.loss(row[None, :]) for row in x]), loss, **tolerance)


@pytest.mark.parametrize("id", [id for id, problem in PROBLEMS.items() if problem.probability >= 1e-3])
@pytest.mark.statistical(effect=1.5, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("CREDIT-GL21-10000", "CREDIT-GL21-22000")
def test_crude_monte_carlo_finds_the_reference(id, seed):
    problem = PROBLEMS[id]
    p, n = problem.probability, 50_000
    found, _ = estimate(problem, np.random.default_rng(seed(2)), n)
    error = math.hypot(math.sqrt(p * (1.0 - p) / n), p * problem.rel_accuracy)
    assert_within_error(found, p, error)


def first(dim, *values):
    """A vector that begins with ``values`` and goes on with zeros."""
    return np.pad(np.array(values), (0, dim - len(values)))


PROPOSALS = {
    "RP25": (0.0, 2.0),
    "RP107": (1.6, 1.0),
    "RP111": (0.0, 2.0),
    "HIMMELBLAU-95": (0.0, 2.0),
    "OSC-REE": (0.0, 1.8),
    "GAYTON-HAT": (0.0, 2.0),
    "CIRCULAR-BAR": (0.0, 2.0),
    "FUJITA-EXP-L2": (0.0, 2.0),
    "LIN-1000-B4": (4.0 / math.sqrt(1000.0), 1.0),
    "T-IID-SUM-5": (0.0, 1.8),
    "CHI2-2": (0.0, 2.0),
    "SMALL-BALL-3": (0.0, 0.2),
    "CORNERS-2D": (0.0, 2.0),
    "SORM-CONVEX-11": (np.r_[np.zeros(10), 4.0], np.r_[np.full(10, 0.7), 1.0]),
    "CAUCHY-RATIO": ([1.0, 0.0], [1.0, 3e-4]),
    "CLAYTON-JOINT-LOW": (0.0, 1.8),
    "MARSHALL-OLKIN": ([3.3, 3.3, 1.1], 1.0),
    "DIG-PUT-50": (0.0, 2.0),
    "DG-A1-b": (0.9, 1.0),
    "BOOK-A1-b": (0.9, 1.0),
    "PORT-5SIGMA-IND": (0.9, 1.0),
    "CREDIT-SECTOR-A": (first(106, -3.5), 1.0),
    "CREDIT-T-12": (first(252, 0.0, -3.5), 1.0),
    "WALK-MAX-50": (0.57, 1.0),
    "LOMAX-SUM-5": (0.0, 1.8),
    "WEIBULL-SUM-5": (0.0, 1.8),
    "LN-SUM-4-LEFT": (0.0, 1.8),
    "BRIDGE-CE": (0.0, 1.8),
}
"""Mean and standard deviation of latent draws that reach rare events in all the places where they happen."""


@pytest.mark.parametrize("id", PROPOSALS)
@pytest.mark.statistical(effect=1, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("LIN-1000-B4")
def test_importance_sampling_finds_a_rare_reference(id, seed):
    problem = PROBLEMS[id]
    n = 200_000 if problem.dim <= 11 else 20_000
    found, error = estimate(problem, np.random.default_rng(seed(3)), n, *PROPOSALS[id])
    assert problem.probability < 1e-3
    assert_within_error(found, problem.probability, error)


@pytest.mark.parametrize(("edges", "end"), [(problems.DODECAHEDRON, 17), (problems.grid(4), 15)])
def test_the_widest_path_is_where_adding_edges_in_falling_order_joins_its_ends(edges, end, seed):
    lifetimes = np.random.default_rng(seed(4)).exponential(size=(50, len(edges)))
    found = problems.widest_path(lifetimes, edges, 0, end)
    for row, width in zip(lifetimes, found, strict=True):
        part = list(range(1 + max(map(max, edges))))
        for edge in np.argsort(-row):
            a, b = (part[v] for v in edges[edge])
            part = [a if p == b else p for p in part]
            if part[0] == part[end]:
                break
        assert width == row[edge]
