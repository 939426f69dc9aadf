"""A weighted sample of the event: it changes no digit, reproduces the estimate, and is stored, read and refused."""

import dataclasses
import json
import sys

import numpy as np
import pytest

import raresim
from raresim.accumulators import tail_draws
from raresim.config import load as configs
from raresim.errors import ConfigError, FieldError
from raresim.models import Credit
from raresim.report import provenance
from raresim.shell import unfinished
from tests.models.test_credit import Table
from tests.statistical import assert_within_error

BOOK = raresim.Linear(weights=[0.2, 0.3, 0.5])
LAW = raresim.Normal(mean={"a": 0.1, "b": 0.0, "c": -0.1}, cov=[[1.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.0]])
ASKED = [raresim.Probability(above=[2.0, 2.5]), raresim.ValueAtRisk(level=0.999)]
HEAD = ("a", "b", "c", "loss of a", "loss of b", "loss of c", "loss", "log_weight", "weight")

CONFIG = """\
seed: 1
inputs: {kind: standard_normal, dim: 3}
loss: {kind: linear, weights: [1.0, 1.0, 1.0]}
measures: [{kind: probability, above: 6.0}]
method: {kind: cross_entropy, samples: 1000}
stop: {relative_error: 0.01, max_evaluations: 400000}
execution: {executor: serial}
output: {draws: 500}
"""


def solve(law=LAW, measures=ASKED, **options):
    return raresim.estimate(law, BOOK, measures, **{"seed": 7, "method": "cross_entropy"} | options)


@pytest.fixture(scope="module")
def result():
    return solve(draws=4000)


def digits(found):
    return {key: value for key, value in found.to_dict().items() if key != "seconds"}


def test_asking_for_draws_changes_no_digit_and_workers_change_no_draw(result):
    assert json.dumps(digits(solve())) == json.dumps(digits(result))
    assert solve(draws=4000, workers=2).draws.to_bytes() == result.draws.to_bytes()


def test_a_row_has_its_factors_parts_loss_and_weight(result):
    columns, drawn = result.weighted_draws("pandas"), result.manifest["draws"]
    assert tuple(columns) == HEAD
    assert len(columns) == drawn["rows"] == 4000
    x, parts = columns[["a", "b", "c"]].to_numpy(), columns[list(HEAD[3:6])].to_numpy()
    np.testing.assert_allclose(parts, x * [0.2, 0.3, 0.5], rtol=1e-12)
    np.testing.assert_allclose(parts.sum(axis=1), columns["loss"], rtol=1e-9)
    share = drawn["of"] / drawn["rows"] / drawn["among"]
    np.testing.assert_allclose(columns["weight"], np.exp(columns["log_weight"]) * share)
    assert (columns["loss"] >= drawn["at_least"]).all()
    assert drawn["at_least"] <= 2.0


@pytest.mark.statistical(effect=0.3, false_fail=2e-7, false_pass=1e-3)
def test_weights_add_up_to_the_estimates_that_the_whole_sample_gave(result):
    columns = result.draws.to_arrays()
    for estimate in result.estimates[:2]:
        terms = np.where(columns["loss"] >= estimate.threshold, columns["weight"], 0.0)
        error = np.sqrt(terms.size) * terms.std()
        assert_within_error(terms.sum(), estimate.value, error)


def test_all_draws_of_the_event_give_the_estimate_itself():
    found = solve(measures=ASKED[0], draws=1_000_000, relative_error=0.05)
    columns = found.draws.to_arrays()
    for estimate in found.estimates:
        assert columns["weight"][columns["loss"] >= estimate.threshold].sum() == pytest.approx(estimate.value, rel=1e-9)


def test_events_below_a_threshold_are_sampled_below_it():
    found = solve(measures=raresim.Probability(below=-2.0), draws=50)
    assert (found.draws.to_arrays()["loss"] <= -2.0).all()
    assert found.manifest["draws"]["at_most"] == -2.0


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_run_folder_gives_the_draws_back(result, form, tmp_path, monkeypatch):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    stored = dataclasses.replace(result, draws=dataclasses.replace(result.draws, format=form))
    stored.save(tmp_path / "run")
    again = raresim.read_run(tmp_path / "run")
    assert again.draws.columns == HEAD
    np.testing.assert_array_equal(again.draws.values, result.draws.values)


@pytest.mark.slow
def test_the_page_links_to_the_draws(result, tmp_path):
    result.save(tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert '<a href="draws.csv">draws.csv</a>' in text
    assert "4,000 of" in text


def test_the_page_links_to_no_other_file_and_says_why_there_is_none():
    assert provenance.draws({}) == {}
    assert provenance.draws({"draws": {"file": "../../secret"}}) == {"why": "."}
    assert provenance.draws({"draws": {"why": "no draws are written"}}) == {"why": "No draws are written."}
    assert provenance.draws({"draws": {"file": "draws.csv", "rows": 3, "of": 9}})["href"] == "draws.csv"


def test_without_pandas_and_polars_the_draws_are_arrays(result, monkeypatch):
    monkeypatch.setattr("raresim.run.result.present", lambda: None)
    columns = result.weighted_draws()
    assert tuple(columns) == HEAD
    assert columns["loss"].shape == (4000,)


def test_a_run_that_goes_on_keeps_the_same_draws(tmp_path, monkeypatch):
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    (path := tmp_path / "case.yaml").write_text(CONFIG)
    told = 0

    def in_the_estimate(stage, *_):
        nonlocal told
        told += stage == "estimate"
        if told == 3:
            told += 1
            raise KeyboardInterrupt

    whole = unfinished.complete(configs.load(path), tmp_path / "whole", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        unfinished.complete(configs.load(path), tmp_path / "out", in_the_estimate)
    resumed = unfinished.complete(configs.load(path), tmp_path / "out", lambda *_: None)
    assert resumed.manifest["resumed"]
    assert whole.manifest["draws"]["rows"] == 500
    assert (tmp_path / "out" / "draws.csv").read_bytes() == whole.draws.to_bytes() == resumed.draws.to_bytes()


def test_an_estimate_without_single_draws_says_so():
    k = np.arange(40)
    table = Table(id=[f"n{i}" for i in k], ead=[1.0] * 40, pd=(0.005 + 0.0005 * k).tolist())
    book = Credit(tape=table, lgd=1.0, rho=0.25)
    found = raresim.estimate(book, measures=raresim.Probability(above=12.0), seed=1, draws=100, relative_error=0.05)
    assert found.draws is None
    with pytest.raises(FieldError, match="not single draws; a method such as"):
        found.weighted_draws()


def test_parts_that_are_too_many_numbers_are_left_out(monkeypatch):
    monkeypatch.setattr(tail_draws, "NUMBERS", 200)
    found = solve(draws=100, measures=ASKED[0])
    assert found.draws.columns == ("a", "b", "c", "loss", "log_weight", "weight")
    assert found.manifest["draws"]["left_out"] == "losses of 3 parts: too many numbers"


def test_a_run_without_draws_says_how_to_get_them(result):
    with pytest.raises(FieldError, match=r"draws: the run kept none: ask for them with `draws=10000` in Python or"):
        dataclasses.replace(result, draws=None, manifest={}).weighted_draws()


def test_wrong_outputs_are_refused(monkeypatch):
    for count, message in ((0, "at least 1"), (2_000_000, "at most 1,000,000"), (1.5, "a whole number")):
        with pytest.raises(FieldError, match=f"draws: must be {message}"):
            raresim.Output(draws=count)
    with pytest.raises(FieldError, match="format: unknown value 'xlsx'"):
        raresim.Output(draws=1, format="xlsx")
    with pytest.raises(FieldError, match=r"draws: cannot be written with method line_sampling .*; use auto,"):
        solve(draws=10, method="line_sampling", measures=ASKED[0])
    named = raresim.Normal(mean={"a": 0.0, "loss": 0.0, "c": 0.0}, std=1.0)
    with pytest.raises(FieldError, match="draws: a risk factor has the name 'loss' of another column: rename it"):
        solve(named, draws=10)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FieldError, match="format: parquet needs pyarrow: pip install"):
        raresim.Output(draws=1, format="parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,loss,log_weight,weight\n1,2,x,3\n", "draws.csv:2:log_weight: must be a number, got 'x'"),
        ("a,loss,log_weight,weight\n1,2\n", "draws.csv:2: has 2 cells, must have 4"),
        ("a,loss\n1,2\n", "draws.csv: column 'log_weight' is missing"),
    ],
)
def test_a_broken_file_of_draws_is_refused_by_line_and_column(text, message, result, tmp_path, monkeypatch):
    monkeypatch.setattr("raresim.report.build", lambda folder: folder)
    result.save(tmp_path / "run")
    (tmp_path / "run" / "draws.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        raresim.read_run(tmp_path / "run")


def test_the_memory_of_a_run_counts_the_draws_that_it_keeps(tmp_path):
    (path := tmp_path / "case.yaml").write_text(CONFIG)
    sizes = []
    for draws in (500, 50_000):
        config = configs.load(path, [f"output.draws={draws}"])
        inputs, method, stop = config.outline()
        sizes += [part.size for part in config.demand(inputs, method, stop) if part.what == "draws that are written"]
    assert sizes[1] == 100 * sizes[0] > 500 * 8 * (3 + 4)
    config = configs.load(path, ["output.draws=300000", "execution.memory=400 MiB"])
    with pytest.raises(
        ConfigError, match=r"execution\.memory: allows 400 MiB, but the run may need .* draws that are w"
    ):
        config.outline()
