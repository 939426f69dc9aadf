"""Configs: every field is used, every mistake is named with its place."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from raresim.config import load as configs
from raresim.config import schema
from raresim.config.keys import json_schema
from raresim.engine.executors import Executor
from raresim.errors import ConfigError, DataError, RaresimError
from raresim.run.result import Result

CONFIGS = Path(__file__).parents[2] / "configs"

LOSSES = """
import time
import numpy as np
def largest(x):
    return np.max(x, axis=-1)
def smallest(x):
    return np.min(x, axis=-1)
def total(x):
    return x.T.sum(axis=0)
def desks(x):
    return x - np.array([1.5, 1.6, 1.7])
def parts(x):
    return x * np.array([1.0, 2.0, 3.0])
def steps(x):
    return np.floor(np.sum(x, axis=-1))
def near(x):
    return 0.99 * np.sum(x, axis=-1) + 0.1
def box(x):
    return np.floor(3.0 - 2.0 * np.abs(x - 3.0).max(axis=-1))
def slow(x):
    if (x[:, 0] > 2.5).any():
        time.sleep(0.2)
    return np.sum(x, axis=-1)
tries = {}
def flaky(x):
    out = np.sum(x, axis=-1)
    for i in np.flatnonzero(x[:, 0] > 1.9):
        tries[x[i, 0]] = tries.get(x[i, 0], 0) + 1
        out[i] = out[i] if tries[x[i, 0]] > 2 else np.nan
    return out
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the configs that are run once, and of their flips beside them."""
    return files(tmp_path_factory.mktemp("shared"))


def files(folder: Path) -> Path:
    """Put the files that the configs name into ``folder``."""
    rng = np.random.default_rng(7)
    for name, n, drift in (("a", 200, 0.0), ("b", 200, 0.01)):
        prices = 100 * np.exp(
            np.cumsum(rng.standard_t(3, size=(n, 1)) * rng.normal(size=(n, 3)) * 0.01 + drift, axis=0)
        )
        days = [f"2020-{1 + k // 28:02d}-{1 + k % 28:02d}" for k in range(n)]
        rows = [",".join([day, *(f"{p:.6f}" for p in row)]) for day, row in zip(days, prices, strict=True)]
        (folder / f"{name}.csv").write_text("date,x,y,z\n" + "\n".join(rows) + "\n")
        returns = np.diff(np.log(prices), axis=0)
        rows = [",".join([day, *(f"{r:.6f}" for r in row)]) for day, row in zip(days[1:], returns, strict=True)]
        (folder / f"{name}_returns.csv").write_text("date,x,y,z\n" + "\n".join(rows) + "\n")
    gappy = (folder / "a.csv").read_text().splitlines()
    day, _, y, z = gappy[30].split(",")
    gappy[30] = f"{day},,{y},{z}"
    (folder / "gappy.csv").write_text("\n".join(gappy) + "\n")
    (folder / "positions.csv").write_text("id,weight\nx,0.5\ny,0.2\nz,0.3\n")
    (folder / "positions_b.csv").write_text("id,weight\nx,0.1\ny,0.2\nz,0.7\n")
    (folder / "sectors.csv").write_text("id,weight,sector,currency\nx,0.5,a,e\ny,0.2,b,f\nz,0.3,a,f\n")
    (folder / "losses.py").write_text(LOSSES)
    return folder


def write(folder: Path, content: dict[str, Any], name: str = "case") -> Path:
    path = folder / f"{name}.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return path


def outcome(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Everything that a config decides: the result without its times, the resolved config left aside."""
    return decided(configs.load(write(folder, content)).experiment().run())


def decided(result: Result) -> dict[str, Any]:
    """A result without its times, and what its measures show."""
    plain = result.to_dict() | {"exhibits": [asdict(exhibit) for exhibit in result.exhibits]}
    plain.pop("seconds")
    return plain


def digits(result: dict[str, Any]) -> str:
    return json.dumps([result["estimates"], result["diagnostics"], result["iterations"]])


BASE: dict[str, Any] = {
    "name": "case",
    "seed": 1,
    "inputs": {"kind": "standard_normal", "dim": 3},
    "loss": {"kind": "linear", "weights": "equal"},
    "measures": [{"kind": "probability", "above": 1.5}],
    "method": {"kind": "cross_entropy", "samples": 1000},
    "stop": {"relative_error": 0.1, "max_evaluations": 60000},
}
NORMAL = {"inputs": {"kind": "normal", "mean": [0.0, 0.1, 0.2], "std": [1.0, 2.0, 3.0]}}
STUDENT = {"inputs": {"kind": "student_t", "dof": 5.0, "loc": [0.0, 0.1, 0.2], "scale": [1.0, 2.0, 3.0]}}
SCALAR_NORMAL = {"inputs": {"kind": "normal", "dim": 3}}
SCALAR_STUDENT = {"inputs": {"kind": "student_t", "dof": 5.0, "dim": 3}}
COV = [[1.0, 0.2, 0.0], [0.2, 1.0, 0.1], [0.0, 0.1, 2.0]]
COV_B = [[2.0, 0.2, 0.0], [0.2, 1.0, 0.1], [0.0, 0.1, 2.0]]
FIT = {
    "inputs": {"kind": "normal", "fit": {"prices": "a.csv", "returns": "log"}},
    "measures": [{"kind": "probability", "above": "3 sigma"}],
}
FIT_RETURNS = copy.deepcopy(FIT)
FIT_RETURNS["inputs"]["fit"] = {"returns_csv": "a_returns.csv", "returns": "log", "unit": "percent"}
FIT_FILE = copy.deepcopy(FIT)
FIT_FILE["inputs"]["fit"] = {"returns_file": "a_returns.csv", "returns": "log", "unit": "percent"}
SENSITIVE, SUPPOSED = (
    NORMAL | {"measures": [{"kind": "value_at_risk", "level": 0.99}, other]}
    for other in ({"kind": "sensitivities"}, {"kind": "what_if", "change": {"std": "* 1.1"}})
)
FIXED = {"measures": [{"kind": "probability", "above": 0.05}]}
PYTHON = {"loss": {"kind": "python", "function": "losses.py:largest"}}
EITHER = {"loss": {"kind": "python", "function": "losses.py:total"}}
FLAKY = {
    "loss": {"kind": "python", "function": "losses.py:flaky", "on_failure": "bound"},
    "method": {"kind": "crude"},
}
SLOW = {
    "loss": {"kind": "python", "function": "losses.py:slow", "on_failure": "bound", "timeout": 5.0},
    "method": {"kind": "crude"},
    "stop": {"relative_error": None, "max_evaluations": 500},
}
SIGMA = {"measures": [{"kind": "probability", "above": "2 sigma", "sigma": "model"}]}
BY_PART = {
    "loss": {"kind": "python", "function": "losses.py:parts", "components": ["a", "b", "c"]},
    "measures": [{"kind": "contributions", "level": 0.95}],
}
DESKS = {
    "loss": {"kind": "python", "function": "losses.py:desks", "limit_states": ["a", "b", "c"]},
    "measures": [{"kind": "probability", "above": 0.0}],
    "method": {"kind": "crude"},
}
SHARED, SHARED_OF_TAIL = (
    {"measures": [{"kind": "contributions", **given}]} for given in ({"level": 0.95}, {"tail": 0.05})
)
BY_SECTOR = {
    "inputs": {"kind": "normal", "fit": {"prices": "a.csv", "returns": "log"}},
    "loss": {"kind": "linear", "positions": "sectors.csv"},
    "measures": [{"kind": "contributions", "level": 0.95, "by": ["sector"]}],
}
TWO_TINY = SHARED | {"loss": {"kind": "linear", "weights": [1.0, 1e-4, 1e-4]}}
REFERENCE = {"measures": [{"kind": "probability", "above": 1.5, "reference": {"value": 0.1, "source": "a"}}]}
SCENARIOS = {"measures": [{"kind": "scenarios", "above": "2 sigma"}]}
CORNERS = PYTHON | {"measures": [{"kind": "scenarios", "above": 3.0}]}
HISTORY = {
    "inputs": {"kind": "normal", "fit": {"prices": "a.csv", "returns": "log"}},
    "measures": [
        {"kind": "scenarios", "above": "2 sigma", "history_file": {"prices": "a.csv", "returns": "log"}, "history": 3}
    ],
}
STATED = {
    "method": {"kind": "importance", "proposal": {"kind": "normal", "mean": [1.0, 1.0, 1.0], "std": [1.0, 1.0, 1.0]}}
}
MIXED = {
    "method": {
        "kind": "importance",
        "proposal": {
            "kind": "mixture",
            "weights": [0.5, 0.5],
            "components": [{"kind": "standard_normal", "dim": 3}, {"kind": "normal", "mean": [1.0, 1.0, 1.0]}],
        },
    }
}
LOW_RANK = {
    "method": {
        "kind": "importance",
        "proposal": {
            "kind": "low_rank_normal",
            "mean": [1.0, 1.0, 1.0],
            "directions": [[1.0], [0.0], [0.0]],
            "variances": [2.0],
        },
    }
}
RARE = {"measures": [{"kind": "probability", "above": 2.5}]}
GAUSSIAN = RARE | {"method": {"kind": "cross_entropy", "proposal": {"kind": "gaussian", "covariance": "diagonal"}}}
RANKED = RARE | {"method": {"kind": "cross_entropy", "proposal": {"kind": "gaussian", "covariance": "low_rank"}}}
PARTS = RARE | {"method": {"kind": "cross_entropy", "proposal": {"kind": "gaussian_mixture", "components": 2}}}
PARTS_DIAGONAL = RARE | {
    "method": {"kind": "cross_entropy", "proposal": {"kind": "gaussian_mixture", "covariance": "diagonal"}}
}
TAILED = RARE | {"method": {"kind": "cross_entropy", "proposal": {"kind": "student_t"}}}
SMOOTH_EVENT = RARE | {"method": {"kind": "improved_cross_entropy"}}
DESIGN = RARE | {"method": {"kind": "design_point", "pilot": 300}}
LINES = {"method": {"kind": "line_sampling", "pilot": 300}}
RAYS = {"method": {"kind": "directional_sampling"}}
SUBSET = RARE | {"method": {"kind": "subset_simulation", "samples": 200}}
LEARNT = EITHER | {"method": {"kind": "surrogate"}, "stop": {"relative_error": 0.1, "max_evaluations": 100}}
SEQUENTIAL = RARE | {"method": {"kind": "sequential_importance", "samples": 100, "steps": 3}}
SPLITTING = RARE | {"method": {"kind": "splitting", "samples": 50, "killed": 20}}
SEARCHED = {
    "loss": {"kind": "python", "function": "losses.py:steps"},
    "measures": [{"kind": "probability", "above": 12.0}],
    "method": {"kind": "auto"},
}
BOXED = {
    "loss": {"kind": "python", "function": "losses.py:box"},
    "measures": [{"kind": "probability", "above": 2.0}],
    "method": {"kind": "auto"},
}
BEHIND_A_PLANE = {
    "kind": "exponentially_modified_normal",
    "mean": [0.5, 0.5, 0.5],
    "directions": [[1.0], [0.0], [0.0]],
    "variances": [1.5],
    "tail": [0.6, 0.8, 0.0],
    "rate": 2.0,
}
BEYOND_A_PLANE = {"kind": "beyond_plane", "direction": [1.0, 1.0, 1.0], "distance": -1.0}
BEYOND_A_SPHERE = {"kind": "beyond_sphere", "directions": [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], "radius": 0.3}
RADIAL = {
    "kind": "von_mises_fisher_nakagami",
    "direction": [1.0, 1.0, 1.0],
    "concentration": 1.0,
    "shape": 2.0,
    "spread": 4.0,
}
POINTED = {"kind": "directional", "direction": [1.0, 1.0, 1.0], "location": 1.0}
STEPS = [0.1, *[0.9 / 17] * 17]
STEPPED = {"kind": "histogram_tilt", "shares": [STEPS, STEPS[::-1]], "groups": [0, 1, 1]}
SHIFTED = {"kind": "exponential_tilt", "law": {"kind": "normal", "std": [1.0, 2.0, 3.0]}, "mean": 1.0}


def proposing(law: dict[str, Any]) -> dict[str, Any]:
    """Importance sampling from a stated law."""
    return {"method": {"kind": "importance", "proposal": law}}


def tuning(family: str, **options: Any) -> dict[str, Any]:
    """Cross-entropy tuning of a family."""
    return RARE | {"method": {"kind": "cross_entropy", "proposal": {"kind": family, **options}}}


TILTED = tuning("exponential_tilt") | {
    "inputs": {"kind": "independent", "marginal": {"kind": "gamma", "a": 2.0}, "dim": 3},
    "measures": [{"kind": "probability", "below": 0.2}],
}

LAWS = [{"kind": "normal"}, {"kind": "gamma", "a": 2.0}, {"kind": "logistic"}]
OTHER_LAWS = [{"kind": "normal"}, {"kind": "gamma", "a": 3.0}, {"kind": "logistic"}]
INDEPENDENT = {"inputs": {"kind": "independent", "marginals": LAWS}}
REPEATED = {"inputs": {"kind": "independent", "marginal": LAWS[1], "dim": 3}}
JOINED = {"inputs": {"kind": "copula", "copula": {"kind": "clayton", "theta": 2, "dim": 3}, "marginals": LAWS}}
JOINED_ALIKE = {"inputs": {"kind": "copula", "copula": {"kind": "clayton", "theta": 2, "dim": 3}, "marginal": LAWS[1]}}
CORRELATION = [[1.0, 0.2, 0.0], [0.2, 1.0, 0.1], [0.0, 0.1, 1.0]]
CORRELATION_B = [[1.0, 0.5, 0.0], [0.5, 1.0, 0.1], [0.0, 0.1, 1.0]]
NATAF = {"inputs": {"kind": "nataf", "correlation": CORRELATION, "marginals": LAWS}}
NATAF_ALIKE = {"inputs": {"kind": "nataf", "correlation": CORRELATION, "marginal": LAWS[1]}}
FACTOR = {
    "inputs": {
        "kind": "factor",
        "loadings": [[1.0], [0.5], [0.2]],
        "factors": {"kind": "standard_normal", "dim": 1},
        "specific": 0.5,
    }
}
GROUPS = {"inputs": {"kind": "groups", "groups": {"a": {"kind": "standard_normal", "dim": 3}}}}
HISTORICAL = {"inputs": {"kind": "historical", "values": [[1.0, 2.0, 1.0], [0.0, 0.5, 1.0], [2.0, 2.0, 1.5]]}}
PAST = FIT["inputs"]["fit"]
HISTORICAL_FIT = {"inputs": {"kind": "historical", "fit": PAST}, "measures": [{"kind": "probability", "above": 0.01}]}
FITTED = {"inputs": {"kind": "fitted", "fit": PAST, "copula": "gaussian", "tail": 0.15}, **FIXED}
CHOSEN = {"inputs": {"kind": "fitted", "fit": PAST, "copula": "gaussian", "choose": "aic"}, **FIXED}
CHOSEN["inputs"]["candidates"] = ["normal", "student_t", "skewed_t"]
UNCHOSEN = copy.deepcopy(FITTED)
UNCHOSEN["inputs"]["candidates"] = ["normal", "student_t"]
GARCH = {"inputs": {"kind": "garch", "fit": PAST, "innovations": "normal", "copula": "gaussian"}, **FIXED}
GARCH_OF_B = copy.deepcopy(GARCH)
GARCH_OF_B["inputs"]["fit"] = {"prices": "b.csv", "returns": "log"}
TWO_DAYS = copy.deepcopy(GARCH)
TWO_DAYS["inputs"]["horizon"] = 2

AT, OF_TAIL = {"level": 0.95, "reference": {"value": 1.6, "source": "b"}}, {"tail": 0.05}
VAR, VAR_OF_TAIL = ({"measures": [{"kind": "value_at_risk", **given}]} for given in (AT, OF_TAIL))
ES, ES_OF_TAIL = ({"measures": [{"kind": "expected_shortfall", **given}]} for given in (AT, OF_TAIL))

UL, UL_OF_TAIL = ({"measures": [{"kind": "unexpected_loss", **given}]} for given in ({"level": 0.95}, {"tail": 0.05}))
CURVE, YEARS, AT_THRESHOLDS = (
    {"measures": [{"kind": "exceedance", **given}]}
    for given in (
        {"to_tail": 0.01, "points": 30},
        {"to_tail": 0.01, "return_periods": [20.0]},
        {"thresholds": [1.0, 2.0]},
    )
)

# field of a model -> (changes to the base, path of the field, another value)
FLIPS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "Experiment.name": ({}, "name", "other"),
    "Experiment.seed": ({}, "seed", 2),
    "Experiment.inputs": ({}, "inputs", {"kind": "normal", "mean": 0.5, "dim": 3}),
    "Experiment.loss": ({}, "loss", {"kind": "linear", "weights": [1.0, 0.0, 0.0]}),
    "Experiment.measures": ({}, "measures", [{"kind": "probability", "above": 1.6}]),
    "Experiment.method": ({}, "method", {"kind": "crude"}),
    "Experiment.stop": ({}, "stop", {"relative_error": 0.05}),
    "StandardNormal.dim": ({}, "inputs.dim", 4),
    "Normal.mean": (NORMAL, "inputs.mean", [1.0, 0.1, 0.2]),
    "Normal.std": (NORMAL, "inputs.std", [1.5, 2.0, 3.0]),
    "Normal.cov": ({"inputs": {"kind": "normal", "cov": COV}}, "inputs.cov", COV_B),
    "Normal.dim": (SCALAR_NORMAL, "inputs.dim", 4),
    "Normal.fit": (FIT, "inputs.fit", {"prices": "b.csv", "returns": "log"}),
    "Independent.marginals": (INDEPENDENT, "inputs.marginals", OTHER_LAWS),
    "Independent.marginal": (REPEATED, "inputs.marginal", {"kind": "gamma", "a": 3.0}),
    "Independent.dim": (REPEATED, "inputs.dim", 4),
    "CopulaInputs.copula": (JOINED, "inputs.copula.theta", 3),
    "CopulaInputs.marginals": (JOINED, "inputs.marginals", OTHER_LAWS),
    "CopulaInputs.marginal": (JOINED_ALIKE, "inputs.marginal", {"kind": "gamma", "a": 3.0}),
    "Nataf.correlation": (NATAF, "inputs.correlation", CORRELATION_B),
    "Nataf.marginals": (NATAF, "inputs.marginals", OTHER_LAWS),
    "Nataf.marginal": (NATAF_ALIKE, "inputs.marginal", {"kind": "gamma", "a": 3.0}),
    "FactorModel.loadings": (FACTOR, "inputs.loadings", [[1.0], [0.5], [0.3]]),
    "FactorModel.factors": (FACTOR, "inputs.factors", {"kind": "student_t", "dof": 4.0}),
    "FactorModel.specific": (FACTOR, "inputs.specific", [0.5, 0.5, 0.6]),
    "FactorModel.residual": (FACTOR, "inputs.residual", {"kind": "logistic"}),
    "FactorModel.loc": (FACTOR, "inputs.loc", 0.1),
    "Groups.groups": (GROUPS, "inputs.groups.a", {"kind": "normal", "mean": [0.0, 0.0, 0.2]}),
    "Historical.values": (HISTORICAL, "inputs.values", [[1.0, 2.0, 1.0], [0.0, 0.5, 1.0], [2.0, 2.0, 2.5]]),
    "Historical.fit": (HISTORICAL_FIT, "inputs.fit.prices", "b.csv"),
    "FittedInputs.fit": (FITTED, "inputs.fit.prices", "b.csv"),
    "FittedInputs.margins": (FITTED, "inputs.margins", "student_t"),
    "FittedInputs.choose": (UNCHOSEN, "inputs.choose", "bic"),
    "FittedInputs.candidates": (CHOSEN, "inputs.candidates", ["normal"]),
    "FittedInputs.tail": (FITTED, "inputs.tail", 0.2),
    "FittedInputs.copula": (FITTED, "inputs.copula", "t"),
    "Garch.fit": (GARCH, "inputs.fit.prices", "b.csv"),
    "Garch.horizon": (GARCH, "inputs.horizon", 2),
    "Garch.model": (GARCH, "inputs.model", "gjr"),
    "Garch.mean": (GARCH_OF_B, "inputs.mean", "zero"),
    "Garch.innovations": (GARCH, "inputs.innovations", "laplace"),
    "Garch.aggregate": (TWO_DAYS, "inputs.aggregate", "path"),
    "Garch.copula": (GARCH, "inputs.copula", "independence"),
    "StudentT.dof": (STUDENT, "inputs.dof", 4.0),
    "StudentT.loc": (STUDENT, "inputs.loc", [1.0, 0.1, 0.2]),
    "StudentT.scale": (STUDENT, "inputs.scale", [1.5, 2.0, 3.0]),
    "StudentT.shape": ({"inputs": {"kind": "student_t", "dof": 5.0, "shape": COV}}, "inputs.shape", COV_B),
    "StudentT.dim": (SCALAR_STUDENT, "inputs.dim", 4),
    "StudentT.fit": (
        FIT | {"inputs": {"kind": "student_t", "fit": {"prices": "a.csv", "returns": "log"}}},
        "inputs.fit",
        {"prices": "b.csv", "returns": "log"},
    ),
    "ReturnsSource.prices": (FIT, "inputs.fit.prices", "b.csv"),
    "ReturnsSource.returns_csv": (FIT_RETURNS, "inputs.fit.returns_csv", "b_returns.csv"),
    "ReturnsSource.returns_file": (FIT_FILE, "inputs.fit.returns_file", "b_returns.csv"),
    "ReturnsSource.returns": (FIT, "inputs.fit.returns", "simple"),
    "ReturnsSource.unit": (FIT_RETURNS, "inputs.fit.unit", "fraction"),
    "ReturnsSource.from": (FIT, "inputs.fit.from", "2020-01-10"),
    "ReturnsSource.to": (FIT, "inputs.fit.to", "2020-02-20"),
    "ReturnsSource.columns": (FIT, "inputs.fit.columns", ["x", "y"]),
    "ReturnsSource.missing": (
        FIT | {"inputs": {"kind": "normal", "fit": {"prices": "gappy.csv", "returns": "log", "missing": "drop"}}},
        "inputs.fit.missing",
        "previous",
    ),
    "ReturnsSource.covariance": (FIT, "inputs.fit.covariance", "sample"),
    "Linear.weights": ({}, "loss.weights", [1.0, 0.0, 0.0]),
    "Linear.positions": (
        FIT | {"loss": {"kind": "linear", "positions": "positions.csv"}},
        "loss.positions",
        "positions_b.csv",
    ),
    "Linear.revalue": (NORMAL, "loss.revalue", "exp"),
    "Linear.factors": (NORMAL, "loss.factors", "returns"),
    "PythonLoss.function": (PYTHON, "loss.function", "losses.py:smallest"),
    "PythonLoss.vectorised": (PYTHON, "loss.vectorised", False),
    "PythonLoss.jit": (EITHER, "loss.jit", True),
    "PythonLoss.smooth": (LEARNT, "loss.smooth", True),
    "PythonLoss.on_failure": (FLAKY, "loss.on_failure", "retry"),
    "PythonLoss.retries": (FLAKY, "loss.retries", 2),
    "PythonLoss.timeout": (SLOW, "loss.timeout", 0.05),
    "ValueAtRisk.level": (VAR, "measures[0].level", 0.9),
    "ValueAtRisk.tail": (VAR_OF_TAIL, "measures[0].tail", 0.1),
    "ValueAtRisk.confidence": (VAR, "measures[0].confidence", 0.9),
    "ValueAtRisk.reference": (VAR, "measures[0].reference", {"value": 1.7, "source": "a"}),
    "ExpectedShortfall.level": (ES, "measures[0].level", 0.9),
    "ExpectedShortfall.tail": (ES_OF_TAIL, "measures[0].tail", 0.1),
    "ExpectedShortfall.confidence": (ES, "measures[0].confidence", 0.9),
    "ExpectedShortfall.reference": (ES, "measures[0].reference", {"value": 1.7, "source": "a"}),
    "Sensitivities.parameters": (SENSITIVE, "measures[1].parameters", ["mean.x1"]),
    "Sensitivities.per": (SENSITIVE, "measures[1].per", 0.1),
    "Sensitivities.confidence": (SENSITIVE, "measures[1].confidence", 0.9),
    "WhatIf.change": (SUPPOSED, "measures[1].change", {"std": "* 1.2"}),
    "WhatIf.name": (SUPPOSED, "measures[1].name", "wider"),
    "WhatIf.confidence": (SUPPOSED, "measures[1].confidence", 0.9),
    "Probability.above": ({}, "measures[0].above", 1.6),
    "Probability.below": ({"measures": [{"kind": "probability", "below": -1.5}]}, "measures[0].below", -1.6),
    "Probability.sigma": (SIGMA, "measures[0].sigma", 0.9),
    "Probability.confidence": ({}, "measures[0].confidence", 0.9),
    "Probability.reference": (REFERENCE, "measures[0].reference", {"value": 0.2, "source": "a"}),
    "Reference.value": (REFERENCE, "measures[0].reference.value", 0.2),
    "Reference.source": (REFERENCE, "measures[0].reference.source", "b"),
    "Probability.interval": ({}, "measures[0].interval", "betting"),
    "PythonLoss.components": (BY_PART, "loss.components", ["a", "b", "d"]),
    "PythonLoss.limit_states": (DESKS, "loss.limit_states", ["a", "b", "d"]),
    "PythonLoss.system": (DESKS, "loss.system", {"at_least": 2}),
    "Experiment.preset": ({"preset": "irb"}, "preset", "solvency2"),
    "UnexpectedLoss.level": (UL, "measures[0].level", 0.9),
    "UnexpectedLoss.tail": (UL_OF_TAIL, "measures[0].tail", 0.1),
    "UnexpectedLoss.confidence": (UL, "measures[0].confidence", 0.9),
    "Exceedance.thresholds": (AT_THRESHOLDS, "measures[0].thresholds", [1.0, 2.5]),
    "Exceedance.points": (CURVE, "measures[0].points", 40),
    "Exceedance.from_tail": (CURVE, "measures[0].from_tail", 0.2),
    "Exceedance.to_tail": (CURVE, "measures[0].to_tail", 0.005),
    "Exceedance.return_periods": (YEARS, "measures[0].return_periods", [50.0]),
    "Exceedance.events_per_year": (YEARS, "measures[0].events_per_year", 2.0),
    "Exceedance.curve": (CURVE, "measures[0].curve", "aep"),
    "Exceedance.confidence": (CURVE, "measures[0].confidence", 0.9),
    "Contributions.level": (SHARED, "measures[0].level", 0.9),
    "Contributions.tail": (SHARED_OF_TAIL, "measures[0].tail", 0.1),
    "Contributions.of": (SHARED, "measures[0].of", "value_at_risk"),
    "Contributions.by": (BY_SECTOR, "measures[0].by", ["currency"]),
    "Contributions.window": (SHARED, "measures[0].window", 0.4),
    "Contributions.min_share": (TWO_TINY, "measures[0].min_share", 0.0),
    "Contributions.confidence": (SHARED, "measures[0].confidence", 0.9),
    "Scenarios.above": (SCENARIOS, "measures[0].above", "1.6 sigma"),
    "Scenarios.sigma": (SCENARIOS, "measures[0].sigma", 0.9),
    "Scenarios.level": ({"measures": [{"kind": "scenarios", "level": 0.99}]}, "measures[0].level", 0.98),
    "Scenarios.tail": ({"measures": [{"kind": "scenarios", "tail": 0.01}]}, "measures[0].tail", 0.02),
    "Scenarios.modes": (CORNERS, "measures[0].modes", 1),
    "Scenarios.history": (HISTORY, "measures[0].history", 2),
    "Scenarios.history_file": (HISTORY, "measures[0].history_file.prices", "b.csv"),
    "Scenarios.confidence": (SCENARIOS, "measures[0].confidence", 0.9),
    "Crude.guarantee": ({"method": {"kind": "crude"}}, "method.guarantee", "relative"),
    "Crude.kind": ({"method": {"kind": "crude"}}, "method.kind", "cross_entropy"),
    "CrossEntropy.proposal": ({}, "method.proposal", {"kind": "gaussian", "covariance": "diagonal"}),
    "CrossEntropy.rarity": (RARE, "method.rarity", 0.2),
    "CrossEntropy.samples": ({}, "method.samples", 1200),
    "CrossEntropy.starts": ({}, "method.starts", 2),
    "CrossEntropy.defensive": ({}, "method.defensive", 0.2),
    "CrossEntropy.max_levels": (RARE, "method.max_levels", 1),
    "Gaussian.covariance": (GAUSSIAN, "method.proposal.covariance", "full"),
    "Gaussian.rank": (RANKED, "method.proposal.rank", 2),
    "Gaussian.floor": (GAUSSIAN, "method.proposal.floor", 0.9),
    "Importance.proposal": (STATED, "method.proposal", {"kind": "normal", "mean": [1.0, 1.0, 2.0]}),
    "Importance.space": (STATED | NORMAL, "method.space", "physical"),
    "Importance.defensive": (STATED, "method.defensive", 0.3),
    "Importance.draws": (STATED, "method.draws", "sobol"),
    "Importance.control_variates": (MIXED, "method.control_variates", True),
    "Mixture.weights": (MIXED, "method.proposal.weights", [0.3, 0.7]),
    "Mixture.components": (
        MIXED,
        "method.proposal.components",
        [{"kind": "standard_normal", "dim": 3}, {"kind": "normal", "mean": [1.0, 1.0, 2.0]}],
    ),
    "LowRankNormal.mean": (LOW_RANK, "method.proposal.mean", [1.0, 1.0, 2.0]),
    "LowRankNormal.directions": (LOW_RANK, "method.proposal.directions", [[0.0], [1.0], [0.0]]),
    "LowRankNormal.variances": (LOW_RANK, "method.proposal.variances", [1.5]),
    "CrossEntropy.smoothing": (RARE, "method.smoothing", 0.7),
    "GaussianMixture.components": (PARTS, "method.proposal.components", 1),
    "GaussianMixture.covariance": (PARTS, "method.proposal.covariance", "full"),
    "GaussianMixture.rank": (PARTS, "method.proposal.rank", 2),
    "GaussianMixture.floor": (PARTS_DIAGONAL, "method.proposal.floor", 0.9),
    "StudentTMixture.components": (TAILED, "method.proposal.components", 2),
    "StudentTMixture.dof": (TAILED, "method.proposal.dof", "estimated"),
    "StudentTMixture.covariance": (TAILED, "method.proposal.covariance", "full"),
    "StudentTMixture.floor": (TAILED, "method.proposal.floor", 0.9),
    "ImprovedCrossEntropy.proposal": (SMOOTH_EVENT, "method.proposal", {"kind": "student_t"}),
    "ImprovedCrossEntropy.target_cov": (SMOOTH_EVENT, "method.target_cov", 1.2),
    "ImprovedCrossEntropy.pooled": (SMOOTH_EVENT, "method.pooled", False),
    "ImprovedCrossEntropy.samples": (SMOOTH_EVENT, "method.samples", 1200),
    "ImprovedCrossEntropy.defensive": (SMOOTH_EVENT, "method.defensive", 0.2),
    "ImprovedCrossEntropy.max_levels": (SMOOTH_EVENT, "method.max_levels", 1),
    "DesignPointSampling.tail": (DESIGN, "method.tail", "normal"),
    "DesignPointSampling.pilot": (DESIGN, "method.pilot", 400),
    "DesignPointSampling.starts": (DESIGN, "method.starts", 2),
    "DesignPointSampling.defensive": (DESIGN, "method.defensive", 0.3),
    "LineSampling.direction": (LINES, "method.direction", [1.0, 0.0, 0.0]),
    "LineSampling.step": (LINES, "method.step", 0.7),
    "LineSampling.pilot": (LINES, "method.pilot", 400),
    "LineSampling.starts": (LINES, "method.starts", 2),
    "DirectionalSampling.system": (RAYS, "method.system", "antithetic"),
    "DirectionalSampling.step": (RAYS, "method.step", 0.7),
    "Surrogate.batch": (LEARNT, "method.batch", 4),
    "Experiment.approximation": (LEARNT, "approximation", {"kind": "python", "function": "losses.py:near"}),
    "SubsetSimulation.samples": (SUBSET, "method.samples", 300),
    "SubsetSimulation.rarity": (SUBSET, "method.rarity", 0.2),
    "SubsetSimulation.moves": (SUBSET, "method.moves", "elliptical_slice"),
    "SubsetSimulation.max_levels": (SUBSET, "method.max_levels", 1),
    "SequentialImportance.samples": (SEQUENTIAL, "method.samples", 120),
    "SequentialImportance.target_cv": (SEQUENTIAL, "method.target_cv", 1.5),
    "SequentialImportance.steps": (SEQUENTIAL, "method.steps", 4),
    "SequentialImportance.moves": (SEQUENTIAL, "method.moves", "elliptical_slice"),
    "SequentialImportance.max_levels": (SEQUENTIAL, "method.max_levels", 1),
    "Splitting.samples": (SPLITTING, "method.samples", 60),
    "Splitting.killed": (SPLITTING, "method.killed", 10),
    "Splitting.steps": (SPLITTING, "method.steps", 3),
    "Splitting.moves": (SPLITTING, "method.moves", "elliptical_slice"),
    "Directional.direction": (proposing(POINTED), "method.proposal.direction", [1.0, 1.0, 2.0]),
    "Directional.location": (proposing(POINTED), "method.proposal.location", 1.5),
    "Directional.left": (proposing(POINTED), "method.proposal.left", 0.5),
    "Directional.right": (proposing(POINTED), "method.proposal.right", 0.5),
    "Directional.variance": (proposing(POINTED), "method.proposal.variance", 1.5),
    "Directional.profile": (proposing(POINTED), "method.proposal.profile", "normal"),
    "VonMisesFisherNakagami.direction": (proposing(RADIAL), "method.proposal.direction", [1.0, 1.0, 2.0]),
    "VonMisesFisherNakagami.concentration": (proposing(RADIAL), "method.proposal.concentration", 2.0),
    "VonMisesFisherNakagami.shape": (proposing(RADIAL), "method.proposal.shape", 1.5),
    "VonMisesFisherNakagami.spread": (proposing(RADIAL), "method.proposal.spread", 5.0),
    "BeyondPlane.direction": (proposing(BEYOND_A_PLANE), "method.proposal.direction", [1.0, 0.0, 1.0]),
    "BeyondPlane.distance": (proposing(BEYOND_A_PLANE), "method.proposal.distance", -2.0),
    "BeyondSphere.directions": (
        proposing(BEYOND_A_SPHERE),
        "method.proposal.directions",
        [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]],
    ),
    "BeyondSphere.radius": (proposing(BEYOND_A_SPHERE), "method.proposal.radius", 0.5),
    "HistogramTilt.shares": (proposing(STEPPED), "method.proposal.shares", [STEPS, STEPS]),
    "HistogramTilt.groups": (proposing(STEPPED), "method.proposal.groups", [0, 0, 1]),
    "ExponentialTilt.law": (proposing(SHIFTED), "method.proposal.law", {"kind": "normal", "std": [1.0, 1.0, 1.0]}),
    "ExponentialTilt.mean": (proposing(SHIFTED), "method.proposal.mean", [1.0, 2.0, 1.0]),
    "DirectionalMixture.components": (tuning("directional"), "method.proposal.components", 2),
    "DirectionalMixture.left_floor": (tuning("directional"), "method.proposal.left_floor", 0.25),
    "VonMisesFisherNakagamiMixture.components": (
        tuning("von_mises_fisher_nakagami"),
        "method.proposal.components",
        2,
    ),
    "VonMisesFisherNakagamiMixture.floor": (tuning("von_mises_fisher_nakagami"), "method.proposal.floor", 0.9),
    "HistogramTilting.groups": (tuning("histogram_tilt"), "method.proposal.groups", [0, 1, 1]),
    "HistogramTilting.floor": (tuning("histogram_tilt"), "method.proposal.floor", 0.5),
    "ExponentialTilting.floor": (TILTED, "method.proposal.floor", 0.9),
    "ExponentiallyModifiedNormal.mean": (proposing(BEHIND_A_PLANE), "method.proposal.mean", [0.5, 0.5, 1.0]),
    "ExponentiallyModifiedNormal.directions": (
        proposing(BEHIND_A_PLANE),
        "method.proposal.directions",
        [[0.0], [1.0], [0.0]],
    ),
    "ExponentiallyModifiedNormal.variances": (proposing(BEHIND_A_PLANE), "method.proposal.variances", [1.2]),
    "ExponentiallyModifiedNormal.bulk": (proposing(BEHIND_A_PLANE), "method.proposal.bulk", 1.2),
    "ExponentiallyModifiedNormal.tail": (proposing(BEHIND_A_PLANE), "method.proposal.tail", [0.8, 0.6, 0.0]),
    "ExponentiallyModifiedNormal.rate": (proposing(BEHIND_A_PLANE), "method.proposal.rate", 3.0),
    "Auto.max_levels": (BOXED, "method.max_levels", 1),
    "Auto.draws": (SEARCHED, "method.draws", "sobol"),
    "Auto.control_variates": (SEARCHED, "method.control_variates", True),
    "CrossEntropy.draws": (RARE, "method.draws", "sobol"),
    "CrossEntropy.control_variates": (RARE, "method.control_variates", True),
    "DesignPointSampling.draws": (DESIGN, "method.draws", "sobol"),
    "DesignPointSampling.control_variates": (DESIGN, "method.control_variates", True),
    "LineSampling.draws": (LINES, "method.draws", "sobol"),
    "Stop.relative_error": ({}, "stop.relative_error", 0.05),
    "Experiment.audit": ({"method": {"kind": "cross_entropy"}}, "audit", "off"),
    "Stop.max_evaluations": (
        {"stop": {"relative_error": None, "max_evaluations": 30000}},
        "stop.max_evaluations",
        40000,
    ),
    "Stop.ended_at": (
        {"stop": {"relative_error": None, "max_evaluations": 30000}},
        "stop.ended_at",
        20000,
    ),
}


def reachable(model: type[BaseModel], seen: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Every model that a config may contain, by name."""
    if model.__name__ not in seen:
        seen[model.__name__] = model
        for info in model.model_fields.values():
            for inner in models_in(info.annotation):
                reachable(inner, seen)
    return seen


def models_in(hint: Any) -> list[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    return [model for arg in get_args(hint) for model in models_in(arg)]


def fields_of_the_schema() -> set[str]:
    """``Model.key`` of everything that can be set, but the kinds, which are told apart by the other keys.

    The keys of marginals and copulas have tests of their own, in test_input_configs.py.
    """
    models = reachable(schema.experiment_model(), {})
    return {
        f"{name}.{info.alias or key}"
        for name, model in models.items()
        for key, info in model.model_fields.items()
        if key != "kind" and (name == "CopulaInputs" or not name.startswith(("Marginal", "Copula")))
    }


OF_MODELS = (
    "Credit.",
    "Loading.",
    "Compound.",
    "Line.",
    "Contract.",
    "Corridor.",
    "GammaMixing.",
    "CommonEvents.",
    "EventTable.",
    "Network.",
    "Path.",
    "PeriodTable.",
    "DeltaGamma.",
    "Ore.",
    "Options.",
    "Queue.",
    "Ruin.",
    *("GarchReturns.", "GeometricBrownian.", "Heston.", "MertonJumps.", "RandomWalk."),
)
"""Models and their parts, whose keys have tests of their own."""

OF_LOSSES = (
    "AtLeast.",
    "Complement.",
    "Event.",
    "Intersection.",
    "ParallelSystem.",
    "ProgramLoss.",
    "ProgramOutput.",
    "SeriesSystem.",
    "UMBridgeLoss.",
    "UMBridgeOutput.",
    "Union.",
)
"""Losses whose keys have tests of their own, in tests/losses."""


def test_every_field_of_the_schema_is_flipped() -> None:
    places = {"executor", "workers", "checkpoint", "memory", "scheduler"}
    never_a_digit = {"Experiment.execution", *(f"Execution.{key}" for key in places)}
    never_a_digit |= {"Experiment.output", "Output.draws", "Output.format"}  # in test_sampled.py
    never_a_digit |= {"Linear.unit", "PythonLoss.unit"}  # in test_desk_inputs.py
    elsewhere = {f"ColumnSource.{key}" for key in ("file", "column", "missing", "least")}  # in test_input_configs.py
    elsewhere |= {f for f in fields_of_the_schema() if f.startswith(OF_MODELS)}
    elsewhere |= {"Experiment.model", "Auto.scheme", "Sensitivities.by"}  # in test_credit_tape.py, test_two_step.py
    elsewhere |= {"Stop.seconds", "Stop.by_hand"}  # in test_clock.py, test_live.py
    elsewhere |= {"Surrogate.evaluations"}  # in test_surrogate_evaluations.py
    elsewhere |= {f for f in fields_of_the_schema() if f.startswith(OF_LOSSES)}
    only_refuses = {"ReturnsSource.max_return", "Nataf.repair"}
    assert fields_of_the_schema() - never_a_digit - elsewhere - only_refuses == set(FLIPS) - {"Crude.kind"}


@pytest.fixture(scope="module")
def outcomes(shared: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What each of the configs that fields are flipped in decides: many flips have the same one."""
    known: dict[str, dict[str, Any]] = {}

    def outcome_of(content: dict[str, Any]) -> dict[str, Any]:
        key = json.dumps(content)
        if key not in known:
            known[key] = outcome(shared, content)
        return known[key]

    return outcome_of


@pytest.mark.slow
@pytest.mark.parametrize("field", FLIPS)
def test_a_flipped_field_changes_the_result(field: str, shared: Path, outcomes: Any) -> None:
    changes, path, value = FLIPS[field]
    content = copy.deepcopy(BASE | changes)
    before = outcomes(content)
    config = configs.load(
        write(shared, content), [f"{path}={json.dumps(value)}" if not isinstance(value, str) else f"{path}={value}"]
    )
    after = decided(config.experiment().run())
    assert json.dumps(before) != json.dumps(after)


def test_a_config_that_is_not_flipped_decides_the_same_twice(shared: Path) -> None:
    assert json.dumps(outcome(shared, BASE)) == json.dumps(outcome(shared, BASE))


@pytest.mark.parametrize("execution", [{"executor": "serial"}, {"executor": "threads", "workers": 3}])
def test_execution_changes_no_digit(execution: dict[str, Any], folder: Path) -> None:
    plain = configs.load(write(folder, BASE))
    other = configs.load(write(folder, BASE | {"execution": execution}))
    spread = other.execution()
    assert (spread.executor, spread.n_workers) == (execution["executor"], execution.get("workers", 1))
    with Executor.of(spread.executor, spread.n_workers) as executor:
        assert digits(other.experiment().run(executor).to_dict()) == digits(plain.experiment().run().to_dict())
    assert plain.digest == other.digest


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
@pytest.mark.slow_cases("stocks-t-copula", "oil-garch-10-days")
def test_shipped_config_is_valid_and_named_after_its_file(path: Path) -> None:
    config = configs.load(path)
    config.outline()
    assert config.name == path.stem


def test_resolved_config_gives_the_same_experiment(folder: Path) -> None:
    config = configs.load(write(folder, BASE | FIT))
    (folder / "again.yaml").write_text(config.texts()["resolved.yaml"])
    again = configs.load(folder / "again.yaml")
    assert again.digest == config.digest
    assert digits(again.experiment().run().to_dict()) == digits(config.experiment().run().to_dict())


VALID = """\
seed: 1
inputs: {kind: normal, dim: 3}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 3}]
"""

MISTAKES = {
    "unknown key": (("seed", "sed"), ":1:1: top level: unknown key 'sed'; did you mean 'seed'?"),
    "missing key": (("seed: 1\n", ""), ":1:1: seed: is required but missing"),
    "duplicate key": (("seed: 1", "seed: 1\nseed: 2"), ':2:1: found duplicate key "seed"'),
    "not YAML": (("equal}", "equal"), ":4:"),
    "unknown kind": (
        ("kind: normal", "kind: nrmal"),
        ":2:10: inputs.kind: unknown kind 'nrmal'; did you mean 'normal'?",
    ),
    "missing kind": (("kind: normal, ", ""), ":2:1: inputs: kind is required but missing"),
    "unknown key inside": (("dim: 3", "dim: 3, sdt: 2"), ":2:32: inputs: unknown key 'sdt'; did you mean 'std'?"),
    "unknown key of a fit": (
        ("dim: 3", "fit: {price: a.csv, returns: log}"),
        ":2:30: inputs.fit: unknown key 'price'; did you mean 'prices'?",
    ),
    "wrong type": (("dim: 3", "dim: three"), ":2:24: inputs.dim: must be a whole number, got the text 'three'"),
    "number as boolean": (("seed: 1", "seed: true"), ":1:1: seed: must be a whole number, got true"),
    "fraction as count": (("dim: 3", "dim: 2.5"), ":2:24: inputs.dim: must be a whole number, got 2.5"),
    "text in a list": (("dim: 3", "std: [1, x]"), ":2:33: inputs.std[1]: must be a number, got the text 'x'"),
    "out of range": (("dim: 3", "std: -2"), ":2:24: inputs.std: must be positive, got -2"),
    "sizes disagree": (
        ("dim: 3", "mean: [1, 2], std: [1, 2, 3]"),
        ":2:38: inputs.std: must agree with mean (2 entries)",
    ),
    "not positive definite": (("dim: 3", "cov: [[1, 2], [2, 1]]"), ":2:24: inputs.cov: must be positive definite"),
    "not symmetric": (
        ("dim: 3", "cov: [[1, 0], [0.5, 1]]"),
        ":2:24: inputs.cov: must be symmetric, got 0 at [0][1] and 0.5",
    ),
    "infinite number": (("dim: 3", "std: .inf"), ":2:24: inputs.std: must be a finite number, got inf"),
    "non-finite weights": (("equal", "[1, .nan, 2]"), ":3:35: loss.weights[1]: must be a finite number, got nan"),
    "number of weights": (("equal", "[1, 2]"), ":3:22: loss.weights: must have 3 entries, got 2"),
    "word for weights": (
        ("equal", "eqal"),
        ":3:22: loss.weights: must be 'equal' or a number or a list or a mapping, got the text 'eqal'; did you mean "
        "'equal'?",
    ),
    "no weights": ((", weights: equal", ""), ":3:1: loss.weights: give either weights or positions"),
    "threshold": (
        ("above: 3", "above: 3 sgima"),
        ":4:32: measures[0].above: must be a number or 'k sigma', got '3 sgima'",
    ),
    "confidence": (
        ("above: 3", "above: 3, confidence: 95"),
        ":4:42: measures[0].confidence: must be above 0 and below 1, got 95",
    ),
    "no measure": (("[{kind: probability, above: 3}]", "[]"), ":4:1: measures: must be a list with at least one entry"),
    "no dof": (("kind: normal", "kind: student_t"), ":2:1: inputs.dof: is required but missing"),
    "seed": (("seed: 1", "seed: -1"), ":1:1: seed: must be from 0 to 2^64 - 1, got -1"),
    "name": (("seed: 1", "name: ../up\nseed: 1"), ":1:1: name: must be letters, digits"),
    "merge key": (("seed: 1", "a: &a {b: 1}\nseed: {<<: *a}"), "merge keys (<<) are not supported"),
}

ADDED = {
    "covariance": (
        "method: {kind: cross_entropy, proposal: {kind: gaussian, covariance: mean-shift}}",
        ":5:58: method.proposal.covariance: must be 'mean_shift', 'diagonal', 'full' or 'low_rank', got the text 'mean-shift'; did you mean 'mean_shift'?",
    ),
    "rarity": (
        "method: {kind: cross_entropy, rarity: 2}",
        ":5:31: method.rarity: must be above 0 and at most 0.5, got 2",
    ),
    "too few samples": (
        "method: {kind: cross_entropy, samples: 10}",
        ":5:31: method.samples: must be at least 200: 5 elites",
    ),
    "mixture weights": (
        "method: {kind: importance, proposal: {kind: mixture, weights: [0.5, 0.4], components: [{kind: normal, dim: 3}, {kind: normal, dim: 3}]}}",
        ":5:54: method.proposal.weights: must add to 1, got 0.9",
    ),
    "proposal size": (
        "method: {kind: importance, proposal: {kind: normal, dim: 2}}",
        ":5:28: method.proposal: must have 3 coordinates (standard space), got 2",
    ),
    "no proposal": ("method: {kind: importance}", ":5:1: method.proposal: is required but missing"),
    "relative error": ("stop: {relative_error: 2}", ":5:8: stop.relative_error: must be above 0 and below 1, got 2"),
    "budget": ("stop: {max_evaluations: 1}", ":5:8: stop.max_evaluations: must be at least 20, got 1"),
    "executor": (
        "execution: {executor: thread}",
        ":5:13: execution.executor: must be 'auto', 'serial', 'threads', 'processes' or 'dask', got the text 'thread'; did you mean 'threads'?",
    ),
    "workers": ("execution: {workers: 0}", ":5:13: execution.workers: must be from 1 to 1024, got 0"),
    "method as a word": ("method: crude", ":5:1: method: must be a mapping"),
}


def complaint(path: Path, overrides: list[str] | None = None) -> str:
    with pytest.raises(RaresimError) as caught:
        configs.load(path, overrides or []).outline()
    return str(caught.value)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ('{kind: what_if, change: {stdd: "* 2"}}', ":2:28: measures[0].change: stdd: unknown parameter 'stdd'"),
        ("{kind: sensitivities, parameters: [mu]}", ":2:34: measures[0].parameters: unknown parameter 'mu'"),
    ],
)
def test_a_measure_that_does_not_go_with_the_inputs_is_named_without_a_run(measure, message, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    law = "inputs: {kind: normal, mean: [0.0, 0.0], std: [1.0, 1.0]}"
    rest = f"measures: [{measure}, {{kind: probability, above: 5.0}}]\nloss: {{kind: linear, weights: [1.0, 1.0]}}\nseed: 3"
    path.write_text(f"{law}\n{rest}\nmethod: {{kind: auto}}\n")
    assert message in complaint(path)


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    (old, new), message = MISTAKES[case]
    assert old in VALID
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace(old, new))
    assert str(path) in complaint(path)
    assert message in complaint(path)


MEANT = {
    "covariance": (("dim: 3", "covariance: [[1, 0], [0, 1]]"), "unknown key 'covariance'; did you mean 'cov'?"),
    "volatility": (("dim: 3", "dim: 3, vol: 2"), "unknown key 'vol'; did you mean 'std'?"),
    "df": (("normal, dim: 3", "student_t, df: 3"), "unknown key 'df'; did you mean 'dof'?"),
    "kind of law": (("kind: normal", "kind: multivariate_t"), "'multivariate_t'; did you mean 'student_t'?"),
    "two meanings": (("above: 3", "confidence_level: 3"), "unknown key 'confidence_level'; did you mean 'confidence'?"),
    "kind of measure": (("kind: probability", "kind: CVaR"), "'CVaR'; did you mean 'expected_shortfall'?"),
    "threshold": (("above: 3", "threshold: 3"), "unknown key 'threshold'; did you mean 'above'?"),
    "text for a threshold": (("above: 3", "above: 100k"), "'k sigma', got '100k'; write 100000"),
    "per cent of a threshold": (("above: 3", "above: [5%]"), "'k sigma', got '5%'; write 0.05"),
    "per cent": (
        ("dim: 3", "dim: 3, mean: 5%"),
        "inputs.mean: must be a number or a list, got the text '5%'; write 0.05",
    ),
    "text for a count": (("seed: 1", "seed: 1_000"), "must be a whole number, got the text '1_000'; write 1000"),
    "quotes": (("seed: 1", 'seed: "1e6"'), "must be a whole number, got the text '1e6'; write 1e6 without quotes"),
    "level in per cent": (
        ("probability, above: 3", "value_at_risk, level: 99.9%"),
        "level: must be a number or a list, got the text '99.9%'; write 0.999",
    ),
    "level as a number of per cent": (
        ("probability, above: 3", "expected_shortfall, level: 99.9"),
        "level: must be above 0 and below 1, got 99.9; for 99.9 % write 0.999",
    ),
    "level for a tail": (
        ("probability, above: 3", "value_at_risk, level: 0.001"),
        "level: must be at least 0.1, got 0.001; did you mean `tail: 0.001`? A level is a confidence such as 0.999 (for the quantile at 0.001 write `tail: 0.999`)",
    ),
    "levels for tails": (
        ("probability, above: 3", "value_at_risk, level: [0.99, 0.01]"),
        "level: must be at least 0.1, got 0.01; did you mean `tail: 0.01`?",
    ),
}


@pytest.mark.parametrize("case", MEANT)
def test_18_14_what_is_meant_is_named(case: str, tmp_path: Path) -> None:
    (old, new), message = MEANT[case]
    assert old in VALID
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace(old, new))
    assert message in complaint(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stop: {max_evaluations: 100k}", "max_evaluations: must be a whole number, got the text '100k'; write 100000"),
        ("stop: {budget: 1e6}", "unknown key 'budget'; did you mean 'max_evaluations'?"),
        ("stop: {relative_error: 5}", "relative_error: must be above 0 and below 1, got 5; for 5 % write 0.05"),
        ("method: {kind: monte_carlo}", "unknown kind 'monte_carlo'; did you mean 'crude'?"),
        ("execution: {executor: multiprocessing}", "the text 'multiprocessing'; did you mean 'processes'?"),
        ("execution: {n_jobs: 2}", "unknown key 'n_jobs'; did you mean 'workers'?"),
    ],
)
def test_18_14_so_it_is_of_options(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(f"{VALID}{line}\n")
    assert message in complaint(path)


def test_18_14_yes_and_no_are_texts_and_what_to_write_is_said(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace("linear, weights: equal", "python, function: 'a.py:f', vectorised: no"))
    assert "must be true or false, got the text 'no'; write false" in complaint(path)


@pytest.mark.parametrize("case", ADDED)
def test_mistaken_option_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    line, message = ADDED[case]
    path = tmp_path / "case.yaml"
    path.write_text(f"{VALID}{line}\n")
    assert complaint(path).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stop.relative_eror=0.1", "stop: unknown key 'relative_eror'; did you mean 'relative_error'?"),
        ("inputs.std=-1", "inputs.std: must be positive, got -1"),
        ("measures[0].above=x", "measures[0].above: must be a number or 'k sigma', got 'x'"),
        (
            "measures[3].above=1",
            "measures has no entry 3 (allowed: 0); to add or remove entries give the whole list, measures=[...]",
        ),
        ("measures.1.above=1", "measures has no entry 1 (allowed: 0); to add or remove entries"),
        ("measures.above=1", "measures is a list, got the key 'above' (allowed: 0); to add or remove"),
        ("inputs[0]=1", "inputs is a mapping, got the index [0] (its keys: kind, dim"),
        ("seed", "must have the form key=value"),
        ("=1", "must have the form key=value"),
        ("seed.a=1", "so there is no seed.a to change"),
        ("inputs.std=[1", "while parsing"),
    ],
)
def test_mistaken_override_is_named(override: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    text = complaint(path, [override])
    assert text.startswith(f"override {override!r}") or "expected" in text
    assert message in text or "expected" in text


@pytest.mark.parametrize("key", ["measures.0.above", "measures[0].above"])
def test_18_13_an_override_reaches_into_lists(key: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    assert configs.load(path, [f"{key}=6"]).resolved()["measures"][0]["above"] == 6
    assert complaint(path, [f"{key}=x"]).startswith(f"override '{key}=x': measures[0].above: ")
    whole = "{kind: probability, above: 7}"
    assert configs.load(path, [f"measures.0={whole}"]).resolved()["measures"][0]["above"] == 7


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1", "seed=2"], "override 'seed=2': seed is given by 'seed=1' already; leave one of them out"),
        (["seed=1", "seed=1"], "override 'seed=1': seed is given by 'seed=1' already"),
        (
            ["measures.0.above=1", "measures[0].above=2"],
            "override 'measures[0].above=2': measures[0].above is given by 'measures.0.above=1' already",
        ),
        (
            ["stop.max_evaluations=1e5", "stop={relative_error: 0.1}"],
            "override 'stop={relative_error: 0.1}': stop.max_evaluations is given by 'stop.max_evaluations=1e5' already",
        ),
    ],
)
def test_18_13_an_override_does_not_take_back_another(overrides: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    assert complaint(path, overrides).startswith(message)


def test_18_13_an_override_may_go_into_what_another_gives(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    stop = configs.load(path, ["stop={relative_error: 0.1}", "stop.max_evaluations=2e5"]).resolved()["stop"]
    assert stop == {"relative_error": 0.1, "max_evaluations": 200_000}


def test_18_13_a_matrix_that_is_not_symmetric_is_shown_with_the_digits_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace("dim: 3", "cov: [[1, 0.5], [0.50000001, 1]]"))
    assert "cov: must be symmetric, got 0.5 at [0][1] and 0.50000001 at [1][0]" in complaint(path)


def test_18_13_a_value_just_beyond_a_limit_is_shown_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(f"{VALID}method: {{kind: cross_entropy, rarity: 0.50000001}}\n")
    assert "rarity: must be above 0 and at most 0.5, got 0.50000001" in complaint(path)


@pytest.mark.parametrize("text", ["hunter2", "'hunter2'", "hunter2 admin", "0123456", "- hunter2", "2020-99-99"])
def test_18_13_of_a_file_that_is_no_config_nothing_is_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(f"{text}\n")
    message = complaint(path)
    assert message.startswith(f"{path}:1:1: must be a mapping of keys to values, got ")
    assert text.strip("'- ") not in message.removeprefix(str(path))


def test_overrides_change_and_add_values(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID)
    config = configs.load(path, ["measures[0].above=4 sigma", "stop.max_evaluations=1e5", "seed=7"])
    resolved = config.resolved()
    assert resolved["measures"][0]["above"] == "4 sigma"
    assert resolved["stop"]["max_evaluations"] == 100_000
    assert resolved["seed"] == 7


@pytest.mark.parametrize(
    ("inputs", "message", "kind"),
    [
        ("{kind: normal, fit: {prices: no.csv, returns: log}}", "inputs.fit.prices: no such file", ConfigError),
        ("{kind: normal, fit: {prices: a.csv}}", "inputs.fit.returns: is required but missing", ConfigError),
        (
            "{kind: normal, dim: 3, fit: {prices: a.csv, returns: log}}",
            "inputs.dim: cannot be given beside fit",
            ConfigError,
        ),
        (
            "{kind: normal, fit: {returns_csv: a_returns.csv, returns: log}}",
            "inputs.fit.unit: is required",
            ConfigError,
        ),
        ("{kind: normal, fit: {prices: gappy.csv, returns: log}}", "gappy.csv:31:x: ", DataError),
        ("{kind: normal, fit: {prices: a.csv, returns: log, columns: [q]}}", "unknown column 'q'", DataError),
    ],
)
def test_mistake_in_the_data_is_named(inputs: str, message: str, kind: type[RaresimError], folder: Path) -> None:
    path = folder / "case.yaml"
    path.write_text(VALID.replace("{kind: normal, dim: 3}", inputs))
    with pytest.raises(kind) as caught:
        configs.load(path).outline()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("no.py:f", "loss.function: no such file"),
        ("losses.py:lagest", "unknown function of losses.py 'lagest'; did you mean 'largest'?"),
        ("losses.py", "must be 'file.py:name', got 'losses.py'"),
        ("broken.py:f", "broken.py is not valid Python"),
    ],
)
def test_mistake_in_a_python_loss_is_seen_without_importing_it(function: str, message: str, folder: Path) -> None:
    (folder / "broken.py").write_text("def f(:\n")
    path = folder / "case.yaml"
    path.write_text(VALID.replace("{kind: linear, weights: equal}", f"{{kind: python, function: {function}}}"))
    assert message in complaint(path)


def test_check_imports_no_user_code(folder: Path) -> None:
    (folder / "trap.py").write_text("raise SystemExit('imported')\ndef f(x): return x\n")
    path = folder / "case.yaml"
    path.write_text(VALID.replace("{kind: linear, weights: equal}", "{kind: python, function: trap.py:f}"))
    configs.load(path).outline()


def test_check_loads_no_heavy_library() -> None:
    code = (
        "import sys; from raresim.config import load as config;"
        f"config.load({str(CONFIGS / 'portfolio-5-sigma-t.yaml')!r}).outline();"
        "print([m for m in ('numba', 'scipy', 'matplotlib', 'rich') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["", "- 1", "3", "\xff", "a: {b: 1", "1: 2", "a: 2020-01-01T10:00:00"])
def test_what_is_not_a_config_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert complaint(path).startswith(str(path))


def test_numbers_follow_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(VALID.replace("seed: 1", "seed: 1e3").replace("above: 3", "above: 2e-1"))
    resolved = configs.load(path).resolved()
    assert (resolved["seed"], resolved["measures"][0]["above"]) == (1000, 0.2)


def test_schema_is_json_and_names_every_kind() -> None:
    text = json.dumps(json_schema())
    for kind in ("normal", "student_t", "linear", "python", "crude", "importance", "cross_entropy", "probability"):
        assert f'"{kind}"' in text
