"""Mistakes of users, each answered in one line that names the remedy.

A row is what a user writes and what the message says: the line is the whole message but for its place, its list of
allowed names and the end of sentences that other tests hold.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim.config import load as configs
from raresim.errors import RaresimError
from raresim.losses.python import PythonLoss
from raresim.marginals import Normal as Law
from raresim.shell import cli
from tests.invoking import CliRunner

pandas = pytest.importorskip("pandas")

FIT = "{kind: normal, fit: {prices: prices.csv, returns: log}}"
PLAIN = {
    "seed": "1",
    "inputs": "{kind: normal, mean: [0.0, 0.0], cov: [[1.0, 0.5], [0.5, 1.0]]}",
    "loss": "{kind: linear, weights: [0.5, 0.5]}",
    "measures": "[{kind: probability, above: 3.0}]",
}


def measure(text):
    return {"measures": f"[{{kind: {text}}}]"}


def inputs(text):
    return {"inputs": f"{{kind: {text}}}"}


def fit(text):
    return {"inputs": f"{{kind: normal, fit: {{{text}}}}}"}


def loss(text):
    return {"loss": f"{{kind: {text}}}"}


def held(text):
    return {"inputs": FIT, "loss": f"{{kind: linear, {text}}}"}


YAML = [
    # numbers
    (measure("value_at_risk, level: 99.9%"), "must be a number or a list, got the text '99.9%'; write 0.999"),
    (measure("value_at_risk, tail: 5%"), "must be a number or a list, got the text '5%'; write 0.05"),
    (measure("value_at_risk, level: 99.9"), "must be above 0 and below 1, got 99.9; for 99.9 % write 0.999"),
    (measure("value_at_risk, level: 0.001"), "must be at least 0.1, got 0.001; did you mean `tail: 0.001`?"),
    (measure("expected_shortfall, level: 0.01"), "must be at least 0.1, got 0.01; did you mean `tail: 0.01`?"),
    (measure("probability, above: 100k"), "must be a number or 'k sigma', got '100k'; write 100000"),
    (measure("probability, above: 1m"), "must be a number or 'k sigma', got '1m'; write 1000000"),
    (measure("probability, above: '1,000'"), "got '1,000'; write 1000, or 1.000 where the comma is a decimal point"),
    (measure("probability, above: '0,5'"), "must be a number or 'k sigma', got '0,5'; write 0.5"),
    (measure("probability, above: 5 sd"), "must be a number or 'k sigma', got '5 sd'; write 5 sigma"),
    (measure("probability, above: 4.5 sigmas!"), "must be a number or 'k sigma', got '4.5 sigmas!'"),
    (measure("probability, above: 3.0, confidence: 95"), "must be above 0 and below 1, got 95; for 95 % write 0.95"),
    ({"stop": "{max_evaluations: 100k}"}, "must be a whole number, got the text '100k'; write 100000"),
    ({"stop": "{relative_error: 1%}"}, "must be a number, got the text '1%'; write 0.01"),
    ({"stop": "{relative_error: 5}"}, "must be above 0 and below 1, got 5; for 5 % write 0.05"),
    ({"seed": "'1'"}, "seed: must be a whole number, got the text '1'; write 1 without quotes"),
    ({"seed": "-1"}, "seed: must be from 0 to 2^64 - 1, got -1"),
    ({"output": "{draws: 10k}"}, "output.draws: must be a whole number, got the text '10k'; write 10000"),
    ({"output": "{draws: 0}"}, "output.draws: must be at least 1, got 0"),
    ({"execution": "{memory: 4GB}"}, "must be a size such as 512 MiB or 4 GiB, or a number of bytes, got '4GB'"),
    # keys and kinds
    (inputs("normal, mean: [0.0, 0.0], covariance: [[1.0]]"), "unknown key 'covariance'; did you mean 'cov'?"),
    (inputs("normal, mu: [0.0, 0.0], std: 1.0"), "unknown key 'mu'; did you mean 'mean'?"),
    (inputs("normal, mean: [0.0, 0.0], vol: 1.0"), "unknown key 'vol'; did you mean 'std'?"),
    (inputs("student_t, df: 4.0, loc: [0.0, 0.0], scale: 1.0"), "unknown key 'df'; did you mean 'dof'?"),
    (inputs("gaussian, mean: [0.0, 0.0], std: 1.0"), "unknown kind 'gaussian'; did you mean 'normal' or"),
    ({"inputs": "normal"}, "inputs: must be a mapping, got the text 'normal'; write `{kind: normal}` with its options"),
    (loss("linear, weight: equal"), "loss: unknown key 'weight'; did you mean 'weights'?"),
    (loss("python, function: losses.py:loss, vectorized: false"), "'vectorized'; did you mean 'vectorised'?"),
    (loss("python, function: losses.py:loss, vectorised: no"), "true or false, got the text 'no'; write false"),
    ({"loss": "{weights: [0.5, 0.5]}"}, "loss: kind is required but missing"),
    (measure("var, level: 0.99"), "unknown kind 'var'; did you mean 'value_at_risk'?"),
    (measure("cvar, level: 0.99"), "unknown kind 'cvar'; did you mean 'expected_shortfall'?"),
    (measure("probability, threshold: 3.0"), "unknown key 'threshold'; did you mean 'above'?"),
    (measure("value_at_risk, alpha: 0.01"), "unknown key 'alpha'; did you mean 'level' or 'tail'?"),
    ({"measures": "[VaR]"}, "must be a mapping, got the text 'VaR'; write `{kind: value_at_risk}` with its options"),
    ({"measures": "{kind: probability, above: 3.0}"}, "must be a list, got a mapping; put it into a list, [{...}]"),
    ({"measures": "[]"}, "measures: must be a list with at least one entry, got an empty list"),
    ({"method": "{kind: surrogate, evaluations: 90}"}, "a run may make is `stop: {max_evaluations: 90}`"),
    ({"method": "{kind: mc}"}, "unknown kind 'mc'; did you mean 'crude'?"),
    ({"method": "auto"}, "method: must be a mapping, got the text 'auto'; write `{kind: auto}` with its options"),
    ({"budget": "10000"}, "top level: unknown key 'budget'; did you mean 'stop'?"),
    ({"stop": "{budget: 10000}"}, "stop: unknown key 'budget'; did you mean 'max_evaluations'?"),
    ({"output": "{draw: 10}"}, "output: unknown key 'draw'; did you mean 'draws'?"),
    ({"output": "{draws: 10, format: xlsx}"}, "output.format: must be 'csv' or 'parquet', got the text 'xlsx'"),
    ({"audit": "yes"}, "audit: must be 'off', 'quick' or 'full', got the text 'yes'"),
    ({"execution": "{n_jobs: 2}"}, "execution: unknown key 'n_jobs'; did you mean 'workers'?"),
    ({"preset": "basel"}, "preset: must be one of solvency2, irb, frtb-es, sst, cat-ep, got 'basel'"),
    # what is missing, or there twice
    ({"seed": None}, "seed: is required but missing; choose one, such as `seed: 1`"),
    ({"loss": None}, "loss: is required but missing"),
    (fit("prices: prices.csv"), "returns: is required but missing; write `returns: log` or `returns: simple`"),
    (measure("probability"), "above: give exactly one of above and below"),
    (measure("probability, above: 3.0, below: 1.0"), "above: give exactly one of above and below"),
    (measure("value_at_risk, level: 0.99, tail: 0.01"), "level: give exactly one of level and tail"),
    ({"seed": "1\nseed: 2"}, 'found duplicate key "seed"'),
    ({"seed": "1\n\tname: x"}, "found character '\\t' that cannot start any token; indent with spaces, not with tabs"),
    ({"model": "{kind: credit, tape: tape.csv}"}, "model: must be left out where inputs and loss are given"),
    ({"sweep": "{seed: [1, 2]}"}, "sweep: is several runs; use raresim sweep, or leave it out"),
    # laws
    (inputs("normal, mean: [0.0, 0.0], cov: [[1.0, 2.0], [2.0, 1.0]]"), "cov: must be positive definite, got a matrix"),
    (inputs("normal, mean: [0.0, 0.0], cov: [[1.0, 0.5], [0.4, 1.0]]"), "got 0.5 at [0][1] and 0.4 at [1][0]"),
    (inputs("normal, mean: [0.0, 0.0], std: -1.0"), "std: must be positive, got -1"),
    (inputs("independent, marginals: {x: {kind: gpd, xi: 0.2}}"), "'gpd'; did you mean 'generalised_pareto'?"),
    (inputs("copula, copula: {kind: gaussian, rho: 0.5}, dim: 2"), "inputs: unknown key 'dim'"),
    (
        inputs("student_t, dof: 1.5, loc: [0.0, 0.0], scale: 1.0") | measure("probability, above: 5 sigma"),
        "the loss has no finite, positive standard deviation (got nan); give the threshold in loss units, or sigma as",
    ),
    # data
    (fit("price: prices.csv, returns: log"), "unknown key 'price'; did you mean 'prices'?"),
    (fit("prices: pricez.csv, returns: log"), "inputs.fit.prices: no such file: "),
    (fit("prices: prices.csv, returns: arithmetic"), "got the text 'arithmetic'; did you mean 'simple'?"),
    (fit("prices: prices.csv, returns: log, columns: [A]"), "unknown column 'A'; did you mean 'a'?"),
    (fit("prices: prices.csv, returns: log, from: 01/02/2020"), "must be a date YYYY-MM-DD, got the text '01/02/2020'"),
    (fit("prices: prices.csv, returns: log, from: 2021-01-01"), "the file has 2020-01-01 to 2020-01-28"),
    (inputs("normal, mean: [0.0], fit: {prices: prices.csv, returns: log}"), "cannot be given beside fit, which"),
    # positions and weights
    (loss("linear, weights: [0.5, 0.5, 0.5]"), "loss.weights: must have 2 entries, got 3"),
    (held("weights: {a: 1.0, b: 1.0, d: 1.0}"), "loss.weights: unknown name 'd' (allowed: a, b, c)"),
    (held("weights: {a: 1.0, b: 1.0}"), "must have a number for each of the 3 names, lacks c; give 0 where nothing"),
    (held("positions: book.csv, weights: equal"), "loss.weights: give either weights or positions"),
    (held("positions: boek.csv"), "loss.positions: no such file: "),
    (held("positions: other.csv"), "other.csv:5:ticker: unknown ticker 'cc'; did you mean 'c'?"),
    (held("positions: both.csv"), "'weight' and 'market_value' each give the size of a position; keep one of them"),
    (loss("linear, positions: book.csv"), "needs inputs with named factors: a fit to data, or marginals with names"),
    (held("weights: equal, unit: ''"), "loss.unit: must be a short name such as USD or EUR m, got ''"),
    (
        fit("prices: prices.csv, returns: simple") | loss("linear, weights: equal, revalue: exp"),
        "exp is for log returns, got inputs fitted to simple returns: use `returns: log` in their fit",
    ),
    # a loss of one's own, methods
    (loss("python, function: lossez.py:loss"), "loss.function: no such file: "),
    (loss("python, function: losses.py"), "loss.function: must be 'file.py:name', got 'losses.py'"),
    (loss("python, function: losses.py:los"), "unknown function of losses.py 'los'; did you mean 'loss'?"),
    (
        {"method": "{kind: line_sampling}", "output": "{draws: 10}"},
        "output.draws: cannot be written with method line_sampling and these options: its rows are not single weighted "
        "draws; use auto,",
    ),
    (fit("returns: returns.csv"), "got the text 'returns.csv'; a file of returns is `returns_file: returns.csv`"),
    (
        measure("scenarios, below: 0"),
        "unknown key 'below'; a limit state enters with its sign turned: let the loss return",
    ),
    (
        {"inputs": "{kind: independent, marginals: [{kind: normal, name: load}, {kind: normal}]}"},
        "unknown key 'name' (allowed: kind, loc, scale, mean, std, fit); inputs get their names from a mapping, as in "
        "`marginals: {load: ",
    ),
    (
        {"inputs": "{kind: independent, names: [load], marginals: [{kind: normal}]}"},
        "unknown key 'names' (allowed: kind, marginals, marginal, dim); inputs get their names from a mapping",
    ),
    ({"name": "a/b"}, "name: must be letters, digits, '.', '_' or '-', at most 100 of them"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("desk")
    days = (f"2020-01-{d:02d},{100 + d + d * 7 % 5},{50 + d * 3 % 7},{20 + d * 5 % 11}" for d in range(1, 29))
    (place / "prices.csv").write_text("date,a,b,c\n" + "\n".join(days) + "\n")
    (place / "book.csv").write_text("ticker,market_value\na,1\nb,2\nc,3\n")
    (place / "other.csv").write_text("ticker,market_value\na,1\nb,2\nc,3\ncc,4\n")
    (place / "both.csv").write_text("id,weight,market_value\na,1,1\n")
    (place / "losses.py").write_text("def loss(x): return x.sum(axis=1)\n")
    (place / "case.yaml").write_text(yaml({}))
    return place


def yaml(changes):
    return "".join(f"{key}: {value}\n" for key, value in (PLAIN | changes).items() if value is not None)


def answered(message, expected):
    assert expected in message
    assert "\n" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize(("changes", "expected"), YAML, ids=[row[1][:40] for row in YAML])
def test_a_mistake_in_a_config_is_answered_in_one_line(changes, expected, folder):
    path = folder / "wrong.yaml"
    path.write_text(yaml(changes))
    with pytest.raises(RaresimError) as caught:
        configs.load(path).outline()
    answered(str(caught.value), expected)


SHELL = [
    ("run case.yaml seed=1,2,3", "commas between several values of a key are for `raresim sweep`, which runs each of"),
    ("run case.yaml stop.relative_error=0.1,0.01", "are for `raresim sweep`, which runs each of them"),
    ("run case.yaml sed=2", "override 'sed=2': top level: unknown key 'sed'; did you mean 'seed'?"),
    ("run case.yaml seed", "override 'seed': must have the form key=value, for instance stop.relative_error=0.05"),
    ("run case.yaml method.kind=mc", "method.kind: unknown kind 'mc'; did you mean 'crude'?"),
    ("run none.yaml", "none.yaml: cannot be read: No such file or directory"),
    ("run prices.csv", "prices.csv:1:1: must be a mapping of keys to values, got text"),
    ("report runs/none", "runs/none: no such run folder"),
    ("report runs/book", "runs/book: is not a run folder; it holds 1 run, name one of them (newest first):"),
    ("compare runs/book", "compare: needs at least two run folders, or one config file, got runs/book"),
    ("list marginalz", "unknown family 'marginalz'; did you mean 'marginal'?"),
    ("explain positons", "unknown term 'positons'; did you mean 'positions'?"),
    ("sweep case.yaml seed=1", "nothing is swept: give several values of a key, such as seed=1,2,3"),
    ("backtest book.csv --level 99", "level: must be above 0.5 and below 1, got 99; for 99 % write 0.99"),
    ("backtest book.csv --level 99%", "must be a number, got '99%'; write 0.99"),
    ("extend runs/book --budget 1k", "must be a whole number, got '1k'; write 1000"),
    ("run case.yaml --port 8000", "--port: goes with --live, which serves a page there"),
    ("estend case.yaml", "No such command 'estend'. Did you mean 'extend'?"),
]


@pytest.mark.parametrize(("line", "expected"), SHELL, ids=[row[0] for row in SHELL])
def test_a_mistake_in_the_shell_names_the_remedy(line, expected, folder, monkeypatch):
    (folder / "runs" / "book" / "one").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / "book" / "one" / "manifest.json").touch()
    monkeypatch.chdir(folder)
    found = CliRunner().invoke(cli.app, line.split(), env={"COLUMNS": "120"})
    assert found.exit_code == 2
    assert expected in found.output
    assert "Traceback" not in found.output


UP, BOOK = raresim.Probability(above=3.0), raresim.Linear(weights="equal")
NAMED = raresim.Normal(mean={"a": 0.0, "b": 0.0}, std=1.0)
FRAME = pandas.DataFrame({"a": [0.1, 0.2], "b": [0.2, 0.1]})
X = np.asfortranarray(np.random.default_rng(1).standard_normal((20, 2)))


def estimate(law=2, book=BOOK, measures=UP, **options):
    return raresim.estimate(law, book, measures, **{"seed": 1} | options)


def called(function):
    """The first call of a loss: what a run does first."""
    bound = PythonLoss(function=function).bind(raresim.StandardNormal(dim=2)).watched()
    out = np.empty(len(X))
    bound(X, out)
    bound.refuse_noise(X, out, 1e-3)


def noisy(x):
    return x.sum(axis=1) + np.random.default_rng().standard_normal(len(x))


PYTHON = [
    (lambda: estimate(FRAME), "got a DataFrame; fit a law to it, such as raresim.Normal.fit(data)"),
    (lambda: estimate(stats.norm), "got a norm_gen; give it its parameters: scipy.stats.norm(...)"),
    (lambda: estimate("normal"), "inputs: must be a joint law of the risk factors, a model or a whole number, got the"),
    (lambda: estimate(raresim.Normal), "got the class Normal; call it: Normal(...)"),
    (lambda: estimate(measures=["VaR"]), "measures: entry 0 must be a measure, got the text 'VaR'; give one such as"),
    (lambda: estimate(measures=[]), "measures: must name at least one"),
    (lambda: estimate(book="x + y"), "loss: must be 'file.py:name', got 'x + y'"),
    (lambda: estimate(seed=1.5), "seed: must be a whole number, got 1.5; choose one, such as 1"),
    (lambda: estimate(method="mc"), "method: unknown method kind 'mc'; did you mean 'crude'?"),
    (lambda: estimate(method="importance"), "method: 'importance' needs options: give raresim.Importance(...)"),
    (lambda: estimate(progress="bar"), "progress: must be True, False or a function of a StageProgress, got the text"),
    (lambda: estimate(draws=1.5), "draws: must be a whole number, got 1.5"),
    (lambda: raresim.Independent({"x": stats.norm()}), "must be given by name: Independent(marginals=...)"),
    (
        lambda: raresim.Independent(marginals={"x": 3.0}),
        "entry 'x' must be a law of one risk factor, got 3.0; give one",
    ),
    (lambda: raresim.Normal(mean=[0.0], covariance=[[1.0]]), "'covariance'; did you mean 'cov'?"),
    (lambda: raresim.ValueAtRisk(level="99.9%"), "level: must be a number, a list of numbers or None, got the text"),
    (lambda: raresim.ValueAtRisk(level=0.001), "did you mean `tail: 0.001`?"),
    (lambda: raresim.Linear(weights={"a": 1.0}).bind(NAMED), "must have a number for each of the 2 names, lacks b;"),
    (lambda: raresim.Linear(weights={"a": 1.0, "z": 1.0}).bind(NAMED), "weights: unknown name 'z' (allowed: a, b)"),
    (
        lambda: raresim.Normal(mean=pandas.Series({"a": 0.0, "b": 1.0}), std=pandas.Series({"a": 1.0, "c": 1.0})),
        "std: unknown name 'c' (allowed: a, b)",
    ),
    (
        lambda: raresim.CopulaInputs(
            marginals={"a": Law(loc=0.0), "b": Law(loc=0.0)},
            copula=raresim.copulas.Gaussian(
                correlation=pandas.DataFrame(np.eye(2), index=["a", "z"], columns=["a", "z"])
            ),
        ),
        "copula.correlation: unknown name 'z' (allowed: a, b)",
    ),
    (lambda: called(lambda x: x[0] + x[1]), "it does take one row, an array of shape (2,): say `vectorised: false`"),
    (
        lambda: called(lambda x: max(x[0], x[1])),
        "it does take one row, an array of shape (2,): say `vectorised: false`",
    ),
    (lambda: called(noisy), "it has noise of its own, so that no threshold is the same twice and no run can be"),
    (lambda: raresim.read_run(Path("none")), "none: no such run folder"),
]


@pytest.mark.parametrize(("call", "expected"), PYTHON, ids=[row[1][:40] for row in PYTHON])
def test_a_mistake_in_python_is_answered_in_one_line(call, expected):
    with pytest.raises(RaresimError) as caught:
        call()
    answered(str(caught.value), expected)


def test_the_table_is_long_enough():
    assert len(YAML) + len(SHELL) + len(PYTHON) >= 60


def test_mistakes_come_in_the_order_of_the_file(folder):
    path = folder / "order.yaml"
    path.write_text(
        "seed: 1\nmeasures: {}\nmethod: {kind: crude}\nloss: {kind: nothing}\nname: 3\ninputs: 2\n", "utf-8"
    )
    with pytest.raises(RaresimError) as refused:
        configs.load(path)
    places = [int(line.rsplit("order.yaml:", 1)[1].split(":", 1)[0]) for line in str(refused.value).splitlines()]
    assert places == [2, 4, 5, 6]
