"""The glossary: every word that a run shows is in it, and nothing else is."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raresim
from raresim.accumulators import weighted_losses
from raresim.backtests.backtest import TITLES
from raresim.config.keys import all_keys, json_schema
from raresim.diagnostics.verdict import judge
from raresim.errors import FieldError
from raresim.models import Credit
from raresim.record.records import Iteration
from raresim.record.verdict import Status
from raresim.registry import members
from raresim.report import glossary
from raresim.report.comparison import Row, Spread
from raresim.report.glossary import TERMS, Term, explain, spelling
from raresim.report.numbers import ITERATION_COLUMNS, STAGES
from raresim.report.provenance import FACTS
from raresim.run.result import Result
from raresim.run.rounds import Round
from raresim.shell import cli, terminal
from tests.invoking import CliRunner
from tests.report.conftest import empty_figures
from tests.report.test_report_fit import evidence

CONFIG = """\
seed: 1
inputs: {kind: standard_normal, dim: 2}
loss: {kind: python, function: "losses.py:first"}
measures: [{kind: probability, above: 1.0}]
method: {kind: crude}
stop: {relative_error: null, max_evaluations: 2000}
"""


ASSUMED = {
    "shrinkage": 0.1,
    "correlation_moved": 0.05,
    "loss_std_ratio": 0.99,
    "dependent_columns": ["column 'B' is a copy of column 'A'"],
    "below_total_loss": 1e-9,
    "log_returns": True,
    "gross": 2.0,
}
"""All that a fit can take for granted."""


def spellings(term: Term) -> set[str]:
    return {spelling(text) for text in (term.name, *term.aliases)}


# ------------------------------------------------------------------ the entries themselves


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_entry_is_complete_and_plain(term: Term) -> None:
    assert len(re.findall(r"[.:](?=\s+[A-Z]|$)", term.definition)) in (2, 3, 4)
    for text in (term.name, *term.aliases, term.definition, term.formula, term.unit, term.where, term.reading):
        assert text.isascii()
        assert " ".join(text.split()) == text
    assert term.definition.endswith(".")
    assert term.reading.endswith(".")
    assert term.where


def test_no_spelling_belongs_to_two_entries() -> None:
    owner: dict[str, str] = {}
    for term in TERMS:
        for text in spellings(term):
            assert owner.setdefault(text, term.name) == term.name
    assert [spelling(term.name) for term in TERMS] == sorted(spelling(term.name) for term in TERMS)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("kl_optimal_proposal", "KL(optimal || proposal)"),
        ("KL(optimal||q)", "KL(optimal || proposal)"),
        ("kl-optimal  PROPOSAL", "KL(optimal || proposal)"),
        ("KL(optimal \u2016 proposal)", "KL(optimal || proposal)"),
        ("max_share", "max share"),
        ("Max-Share", "max share"),
        ("surprise -log P", "self-information"),
        ("95% interval", "interval"),
        ("99.5 % interval", "interval"),
        ("ESS", "effective hits"),
        ("evaluations.estimate", "estimate stage"),
        ("estimate", "estimate"),
    ],
)
def test_case_and_punctuation_do_not_matter(given: str, name: str) -> None:
    assert explain(given).name == name


@pytest.mark.parametrize(
    ("given", "start"),
    [
        (
            "khatt",
            "term: unknown term 'khatt'; did you mean 'khat'? (`raresim explain` lists all terms)",
        ),
        (
            "KL optimal propsal",
            "term: unknown term 'kl optimal propsal'; did you mean 'kl optimal proposal'? (`raresim explain` lists",
        ),
        ("Rarety", "term: unknown term 'rarety'; did you mean 'rarity'? (`raresim explain` lists all terms)"),
        ("zzzzzz", "term: unknown term 'zzzzzz' (`raresim explain` lists all terms)"),
        ("||", "term: unknown term '||' (`raresim explain` lists all terms)"),
    ],
)
def test_unknown_term_is_answered_with_the_nearest(given: str, start: str) -> None:
    with pytest.raises(FieldError) as caught:
        explain(given)
    assert str(caught.value).startswith(start)
    assert len(str(caught.value)) < 120


# ------------------------------------------------------------------ keys of a config


def shown(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["explain", *words])
    return result.exit_code, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (
            "positions",
            "positions (loss, kind linear)\n    path or data frame, optional. CSV or Parquet file, one row per",
        ),
        ("loss.positions", "positions (loss, kind linear)\n"),
        ("stop.max_evaluations", "max_evaluations (stop)\n    int. Loss evaluations of the whole run"),
        ("max evaluations", "max_evaluations (stop)\n"),
        ("components", "components (loss, kind python)\n    bool or sequence of str. "),
        ("from", "from (fit)\n    datetime.date. First and last date"),
        ("cross_entropy.rarity", "rarity (method, kind cross_entropy)\n"),
        ("measures[0].level", "level (measures, kinds unexpected_loss, value_at_risk)\n"),
        ("seed", "seed (top level)\n"),
        ("execution", "execution (top level)\n    mapping. Where a run is computed"),
        ("linear", "loss, kind linear\n    Loss of a linear portfolio"),
    ],
)
def test_18_15_a_key_of_a_config_is_explained_by_its_own_text(word: str, text: str) -> None:
    code, out = shown(*word.split())
    assert code == 0
    assert text in out
    assert max(map(len, out.splitlines())) <= 80


def keys_in(schema: Any) -> Iterator[str]:
    """The names of all properties in a JSON schema."""
    if isinstance(schema, dict):
        yield from (name for name in schema.get("properties", {}) if name != "kind")
        for inner in schema.values():
            yield from keys_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from keys_in(inner)


def test_18_15_every_key_of_a_config_has_a_text() -> None:
    """The docstrings are read as numpydoc wants them; a key without a text there is not documented."""
    assert [(key.name, key.part) for key in all_keys() if not key.text] == []
    assert {key.name for key in all_keys()} >= set(keys_in(json_schema()))


def test_18_15_what_nothing_is_called_is_one_line() -> None:
    code, out = shown("loss.positons")
    assert code == 2
    assert out == "term: unknown term 'loss positons'; did you mean 'positions'? (`raresim explain` lists all terms)\n"


def test_18_15_no_word_of_an_entry_is_about_an_earlier_version() -> None:
    for term in TERMS:
        assert "this version" not in term.definition + term.reading
    assert "linear losses" not in explain("explore").reading
    assert set(members("measure")) >= {"value_at_risk", "expected_shortfall"}


# ------------------------------------------------------------------ against what a run shows


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """A tuned run with evidence on its inputs, one without a hit, one told its proposal, one that chose by itself."""
    probability = raresim.Probability
    reference = raresim.Reference(value=2.866515718791933e-07, source="normal tail")
    told = raresim.Importance(proposal=raresim.Normal(mean=4.0, std=1.0, dim=1), defensive=0.1)
    narrow = raresim.Importance(proposal=raresim.Normal(mean=3.2, std=0.5, dim=1))
    stated = raresim.Crude(guarantee="relative")
    small = {"relative_error": None, "max_evaluations": 2000, "seed": 1}
    far = probability(above="5 sigma", sigma=1.0, reference=reference)
    tuned = raresim.estimate(2, _first, far, "cross_entropy", seed=1, relative_error=0.05)
    chains = replace(
        tuned, search={**tuned.search, "unit": "replicate", "decisions": ["Replicates, because."], "interrupted": True}
    )
    partly = raresim.PythonLoss(function=_partly, on_failure="bound")
    facts = {"searched": 1.0, "uncovered": 0.01, "unseen_regions": 0.02, "grid_step": 1.0, "grid_change": 0.001}
    chosen = raresim.estimate(2, _first, far, seed=1, relative_error=0.05)
    earlier = Round((2.0e-7,), 9, 1500, 900)
    repaired = replace(
        chosen,
        search={**chosen.search, "rounds": [earlier.facts()]},
        evaluations={**chosen.evaluations, "rounds": earlier.evaluations},
    )
    told_run = raresim.estimate(1, _first, probability(above=4.0), method=told, **small)
    return {
        "tuned": replace(tuned, evidence=evidence(), search={**tuned.search, "facts": facts}),
        "replicates": chains,
        "levels": raresim.estimate(
            2, _first, probability(above=3.0), "subset_simulation", seed=1, max_evaluations=60_000
        ),
        "missed": raresim.estimate(2, _first, probability(above=9.0), method="crude", **small),
        "told": replace(told_run, search={**told_run.search, "assumptions": ASSUMED}),
        "chosen": chosen,
        "repaired": repaired,
        "narrow": raresim.estimate(1, _first, probability(above=3.0), method=narrow, **small),
        "guaranteed": raresim.estimate(1, _first, probability(above=1.0), method=stated, seed=1, relative_error=0.1),
        "failed": raresim.estimate(2, partly, probability(above=1.0), method="crude", **small),
        "measures": _measured(),
        "model": raresim.estimate(Credit.examples()[0], measures=probability(above=2.5), method="crude", **small),
        "system": raresim.estimate(
            2, raresim.PythonLoss(function=_both, limit_states=True), probability(above=1.0), method="crude", **small
        ),
    }


@pytest.fixture(scope="module")
def folders(results: dict[str, Result], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    (root / "losses.py").write_text("def first(x): return x[:, 0]\n")
    (root / "case.yaml").write_text(CONFIG)
    assert (
        CliRunner().invoke(cli.app, ["run", str(root / "case.yaml"), "--out", str(root / "yaml"), "-q"]).exit_code == 0
    )
    with empty_figures():
        return {"yaml": root / "yaml", **{name: result.save(root / name) for name, result in results.items()}}


def _measured() -> Result:
    """Quantiles and exhibits, of more losses than are kept by themselves."""
    measures = [
        raresim.ValueAtRisk(level=0.99),
        raresim.ExpectedShortfall(level=0.99),
        raresim.UnexpectedLoss(level=0.99),
        raresim.Exceedance(points=30, to_tail=0.01),
        raresim.Contributions(level=0.99),
        raresim.Scenarios(level=0.99),
    ]
    inputs = raresim.StandardNormal(dim=2)
    loss = raresim.Linear(weights=[1.0, 0.5])
    experiment = raresim.Experiment(inputs=inputs, loss=loss, measures=measures, seed=1, preset="irb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighted_losses, "CAPACITY", 2000)
        return experiment.run()


def _first(x: Any) -> Any:
    return x[:, 0]


def _both(x: Any) -> Any:
    return x[:, :2]


def _partly(x: Any) -> Any:
    return np.select([x[:, 0] > 2.5, x[:, 0] < -2.5], [np.nan, np.inf], x[:, 0])


def keys(value: Any, parent: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a nested structure with the key above it."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield parent, key
            yield from keys(below, key)
    elif isinstance(value, list):
        for below in value:
            yield from keys(below, parent)


@functools.cache
def of_key(parent: str, key: str) -> Term:
    """The entry of a key, told apart by the key above it where the key alone would be ambiguous."""
    try:
        return explain(f"{parent}.{key}")
    except FieldError:
        return explain(key)


def in_json(results: dict[str, Result]) -> set[str]:
    """Names of the terms that some ``result.json`` holds as a key or as a status."""
    found = {of_key(*pair).name for result in results.values() for pair in set(keys(result.to_dict()))}
    return found | {explain(status).name for status in Status}


def in_shell(results: dict[str, Result], capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Names of the terms that head a row of the table in the shell."""
    for result in results.values():
        terminal.show_result(result)
    rows = re.findall(r"^ (\S.*?)  +\S", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) > 20
    return {explain(row).name for row in rows}


def on_page(folders: dict[str, Path]) -> set[str]:
    """Names of the terms that some report's glossary explains."""
    pages = [(folder / "report.html").read_text(encoding="utf-8") for folder in folders.values()]
    return {explain(slug).name for html in pages for slug in re.findall(r'<div id="term-([a-z0-9-]+)">', html)}


def in_comparison() -> set[str]:
    """Names of the terms of ``compare.csv`` and of the table over the seeds."""
    return {explain(name).name for columns in (Row, Spread) for name in columns.__dataclass_fields__}


def in_backtest(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Names of the terms that head a row of the tables of a backtest, and of its tests."""
    losses = np.random.default_rng(1).standard_normal(250)
    found = raresim.backtest(raresim.Forecasts.of(losses, 2.326, 2.665), level=0.99)
    terminal.show_backtest(found)
    shown = capsys.readouterr().out
    heads = [*TITLES.values(), "exceedances", "traffic light", "capital add-on"]
    assert [head for head in heads if head not in shown] == []
    return {explain(name).name for name in (*heads, *(test.name for test in found.tests))}


@pytest.mark.slow
def test_every_key_of_result_json_has_an_entry(results: dict[str, Result]) -> None:
    assert len(in_json(results)) > 40


@pytest.mark.slow
def test_ambiguous_keys_are_told_apart(results: dict[str, Result]) -> None:
    of = {f"{parent}.{key}": of_key(parent, key).name for parent, key in keys(results["tuned"].to_dict())}
    repaired = {f"{parent}.{key}": of_key(parent, key).name for parent, key in keys(results["repaired"].to_dict())}
    assert {repaired[f"rounds.{key}"] for key in ("values", "missed", "estimate", "audit")} == {"rounds"}
    assert of["evaluations.estimate"] == "estimate stage"
    assert of["stopping.relative_error"] == "stopping rule"
    assert of["estimates.relative_error"] == "relative error"
    assert of["seconds.total"] == "seconds"
    assert of["evaluations.total"] == "evaluations"
    assert of["search.kind"] == "search"
    assert of["estimates.kind"] == "measure"
    assert of["checks.value"] == "check"
    assert of["entropy.optimal"] == "entropy"
    assert of["search.unit"] == "row"
    assert of["soundings.hits"] == "soundings"
    assert of["audit.climbs"] == "audit"
    assert of["estimates.unit"] == "unit"
    assert of["estimates.direction"] == "threshold"


@pytest.mark.slow
def test_no_entry_is_about_nothing(
    results: dict[str, Result], folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = in_json(results) | in_shell(results, capsys) | on_page(folders) | in_comparison() | in_backtest(capsys)
    assert {term.name for term in TERMS} - shown == set()


def test_every_check_has_an_entry_of_its_own() -> None:
    seen = {"hits": 200, "ess": 60.0, "max_share": 0.01, "khat": 0.1, "weights": 200, "max_to_mean": 2.0}
    seen |= {"audit_climbs": 2, "audit_found": 2, "audit_uncovered": 0.0, "self_information_nats": 9.0}
    seen |= {"audit_log_ratio": 0.0, "audit_log_ratio_error": 0.1, "sections_error_ratio": 1.0}
    seen |= {"audit_nominal": 100, "audit_nominal_hits": 0, "audit_nominal_chance": 1.0}
    seen |= {"soundings_draws": 160, "soundings_hits": 40, "soundings_width": 4.2, "soundings_regions": 2}
    seen |= {"soundings_whole": True}
    seen |= {"soundings_uncovered": 0.0, "soundings_log_ratio": 0.0, "soundings_error": 0.1}
    canary = {"draws": 1000, "regions": 1, "z": 0.0, "ratio": 1.0}
    audit = {"needed": True, "why": "", "samples": 50}
    rows = {"unit": "draw", "facts": {}, "outcome": "", "audit": audit, "canary": canary}
    none = rows | {"kind": "none", "starts": 0, "reached": 0, "regions": 0, "nominal": 0, "weighted": False}
    tuned = rows | {"kind": "tuned", "starts": 4, "reached": 4, "regions": 1, "nominal": 4000, "weighted": True}
    chains = judge(seen | {"hits": 10, "rows": 10, "khat": None}, 0.01, tuned | {"unit": "replicate"})
    widened = judge(
        seen | {"hits": 10, "rows": 10, "khat": None, "audit_nominal": 0}, 0.01, tuned | {"unit": "replicate"}
    )
    facts = {"uncovered": 0.0, "unseen_regions": 0.0, "grid_step": 1.0, "grid_change": 0.0}
    known = judge(seen, 0.01, tuned | {"facts": facts})
    verdicts = [
        judge(seen, 0.01, tuned | {"interrupted": True}),
        judge(seen | {"hits": 0}, None, tuned),
        judge(seen, 0.01, none),
        chains,
        widened,
        known,
        judge(seen | {"failed_searching": 0, "failed_estimating": 3, "widening": 0.2}, 0.01, none),
        judge(seen | {"control_gap": 0.1, "control_allowed": 0.2}, 0.01, none),
        judge(seen | {"share_of_gross": 0.1}, 0.01, none | {"assumptions": ASSUMED}),
    ]
    names = {check.name for verdict in verdicts for check in verdict.checks}
    draws = {"data", "hits", "ess", "relative_error", "khat", "max_share", "search", "replicates"}
    audited = {"audit", "audit_level", "audit_agreement", "nominal_hits", "canary", "soundings", "soundings_level"}
    others = {"grid", "interrupted", "uncovered", "unseen_regions", "failures", "sections", "control"}
    assert names == draws | audited | others | {"shrinkage", "columns", "simple_returns", "log_returns"}
    assert len({explain(name).name for name in names}) == len(names)


def test_every_column_stage_and_fact_of_the_report_has_an_entry() -> None:
    columns = set(Iteration.__dataclass_fields__)
    assert set(ITERATION_COLUMNS) == columns - {"start", "iteration", "note"}
    for key, title in ITERATION_COLUMNS.items():
        assert explain(key) is explain(title)
    for name in (*columns, *STAGES, *FACTS):
        assert explain(name)
    for title in FACTS.values():
        assert explain(title)


def test_the_shell_has_no_row_without_an_entry(results: dict[str, Result], capsys: pytest.CaptureFixture[str]) -> None:
    assert {"self-information", "KL(optimal || proposal)", "saved share", "upper bound"} <= in_shell(results, capsys)


@pytest.mark.slow
def test_manifest_keys_on_the_page_have_entries(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        for key in json.loads((folder / "manifest.json").read_text()):
            assert explain(key)


# ------------------------------------------------------------------ the shell


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["explain", *arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_page_of_a_term_fits_the_terminal(term: Term) -> None:
    code, stdout, _ = call(term.name)
    assert code == 0
    assert max(map(len, stdout.splitlines())) <= 80
    words = " ".join(stdout.split())
    for text in (term.name, term.definition, term.formula, term.unit, term.where, term.reading):
        assert " ".join(text.split()) in words


def test_words_need_no_quotes() -> None:
    assert call("relative", "error") == call("Relative_Error")


def test_without_a_term_all_are_listed() -> None:
    code, stdout, _ = call()
    assert code == 0
    assert [line.split("  ")[0] for line in stdout.splitlines() if line[0] != " "] == [term.name for term in TERMS]
    assert max(map(len, stdout.splitlines())) <= 80


def test_unknown_term_exits_with_two() -> None:
    code, stdout, stderr = call("khatt")
    assert code == 2
    assert stdout == ""
    assert stderr.startswith("term: unknown term 'khatt'; did you mean 'khat'?")


def test_import_is_light() -> None:
    code = (
        f"import sys, {glossary.__name__}; assert not {{'numpy', 'scipy', 'matplotlib', 'pydantic'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
