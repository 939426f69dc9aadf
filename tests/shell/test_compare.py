"""Runs side by side: what is compared, what is refused, and what methods that do not fit leave."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import raresim
from raresim.errors import ConfigError
from raresim.report import overlay
from raresim.report.comparison import Failure, Row, Spread, compare, names_of
from raresim.report.run import Run, read
from raresim.report.settings import LONGEST
from raresim.shell import cli, terminal
from tests.invoking import CliRunner
from tests.report.test_report import draws, estimate_entry, write_run

CONFIG = """\
name: case
seed: 5
inputs: {kind: standard_normal, dim: 2}
loss: {kind: python, function: "losses.py:first"}
measures: [{kind: probability, above: 1.5, reference: {value: 0.0668072, source: normal tail}}]
method: {kind: importance, proposal: {kind: normal, mean: 1.5, std: 1.0, dim: 2}}
stop: {relative_error: null, max_evaluations: 4000}
"""


def folder_of(root: Path, name: str, shift: float, *, method: str = "cross_entropy", **result: Any) -> Path:
    loss, log_weight = draws(shift, 4096)
    folder = write_run(
        root / name,
        estimates=[estimate_entry(3.0, loss, log_weight)],
        loss=loss,
        log_weight=log_weight,
        method=method,
    )
    if result:
        change(folder, **result)
    return folder


def change(folder: Path, **changes: Any) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """The same problem by two methods; with 4,096 draws crude sees about five of the events."""
    return [read(folder_of(tmp_path, "tuned", 3.0)), read(folder_of(tmp_path, "plain", 0.0, method="crude"))]


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["compare", *map(str, arguments)], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


# ------------------------------------------------------------------ what a row says


def test_row_is_the_estimate_and_its_price(runs: list[Run]) -> None:
    row, plain = compare(runs, ["a", "b"]).rows
    entry = runs[0].estimates[0]
    assert (row.run, row.method, row.seed, row.verdict) == ("a", "cross_entropy", "20261124", "trusted")
    assert (row.value, row.lower, row.upper) == (entry.value, entry.lower, entry.upper)
    assert row.evaluations == 21000 + 40960 + 8000
    assert row.work == pytest.approx(entry.relative_error**2 * 69960)
    exact = math.erfc(3.0 / math.sqrt(2.0)) / 2
    assert row.standard_errors == pytest.approx((entry.value - exact) / entry.std_error)
    assert row.covers is (entry.lower <= exact <= entry.upper)
    assert plain.evaluations == 40960


def test_run_without_a_hit_has_no_work(tmp_path: Path) -> None:
    entry = estimate_entry(3.0, *draws(0.0, 50))
    assert entry["value"] == 0
    blind = change(folder_of(tmp_path, "blind", 0.0), estimates=[entry])
    (row,) = compare([read(blind)], ["blind"]).rows
    assert (row.work, row.relative_error, row.standard_errors) == (None, None, None)
    assert row.covers is True


def test_names_tell_the_runs_apart(runs: list[Run]) -> None:
    tuned = runs[0]
    assert names_of(runs) == ["cross_entropy", "crude"]
    assert names_of([tuned, replace(tuned, seed="7")]) == ["cross_entropy, seed 20261124", "cross_entropy, seed 7"]
    moved = replace(tuned, folder=tuned.folder.with_name("other"))
    assert names_of([tuned, moved]) == ["cross_entropy, tuned", "cross_entropy, other"]
    twins = [tuned, replace(tuned, folder=tuned.folder.parent / "x" / "tuned")]
    assert names_of(twins) == [str(run.folder) for run in twins]


def seeds_of(tmp_path: Path, values: list[float], errors: list[float]) -> list[Run]:
    run = read(folder_of(tmp_path, "run", 3.0))
    entry = run.estimates[0]
    return [
        replace(
            run,
            seed=seed,
            estimates=(replace(entry, value=value, relative_error=error, interval=(0.5 * value, 1.5 * value)),),
        )
        for seed, (value, error) in enumerate(zip(values, errors, strict=True))
    ]


def test_spread_is_what_the_seeds_show_and_not_what_they_report(tmp_path: Path) -> None:
    exact = math.erfc(3.0 / math.sqrt(2.0)) / 2
    values = [exact, 1.2 * exact, 0.2 * exact, 1.6 * exact]
    runs = seeds_of(tmp_path, values, [0.01, 0.01, 0.07, 0.01])
    (spread,) = compare(runs, names_of(runs)).spreads
    assert (spread.runs, spread.trusted, spread.covered) == (4, 4, 3)
    assert spread.mean == pytest.approx(exact)
    assert spread.between == pytest.approx(np.std(values, ddof=1) / np.mean(values))
    assert spread.reported == pytest.approx(math.sqrt((3 * 0.01**2 + 0.07**2) / 4))
    assert spread.work == pytest.approx(spread.between**2 * 69960)


def test_missed_event_counts_as_zero_in_the_mean(tmp_path: Path) -> None:
    runs = seeds_of(tmp_path, [1e-3, 1e-3, 0.0, 2e-3], [0.1] * 4)
    (spread,) = compare(runs, names_of(runs)).spreads
    assert (spread.runs, spread.mean) == (4, pytest.approx(1e-3))
    assert spread.reported == pytest.approx(0.1)


def test_same_seed_or_other_options_are_no_spread(tmp_path: Path) -> None:
    one, two = seeds_of(tmp_path, [1e-3, 1.1e-3], [0.1, 0.1])
    assert compare([one, replace(two, seed=one.seed)], ["a", "b"]).spreads == ()
    other = replace(two, description={**two.description, "method": ("8 starts",)})
    assert compare([one, other], ["a", "b"]).spreads == ()


# ------------------------------------------------------------------ what cannot be compared


def other_loss(run: Path) -> None:
    path = run / "resolved.yaml"
    path.write_text(path.read_text().replace("loss: {kind: linear", "loss: {kind: quadratic"))


def other_data(run: Path) -> None:
    path = run / "manifest.json"
    path.write_text(path.read_text().replace("9f" * 32, "00" * 32))


def other_threshold(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    change(run, estimates=[entry | {"threshold": 3.5, "label": "P(loss >= 3.5)", "threshold_note": ""}])


def other_side(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    change(run, estimates=[entry | {"direction": "below", "label": "P(loss <= 3)"}])


def one_more(run: Path) -> None:
    change(run, estimates=json.loads((run / "result.json").read_text())["estimates"] * 2)


def other_words(run: Path) -> None:
    """Two runs from Python have no config: what they say of themselves is compared."""
    for folder in (run, run.with_name("tuned")):
        (folder / "resolved.yaml").unlink()
        (folder / "config.yaml").unlink()
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"config_sha256": None}))
    stored = json.loads((run / "result.json").read_text())["description"]
    change(run, description=stored | {"inputs": ["3 independent standard normals"]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (other_threshold, "plain: it asks for P(loss >= 3.5), "),
        (other_side, "plain: it asks for P(loss <= 3), "),
        (one_more, "plain: it has 2 measures and "),
    ],
)
def test_runs_of_different_problems_are_refused(
    tmp_path: Path, runs: list[Run], make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "plain")
    with pytest.raises(ConfigError) as caught:
        compare([read(tmp_path / "tuned"), read(tmp_path / "plain")], ["a", "b"])
    assert message in str(caught.value)
    code, stdout, stderr = call(tmp_path / "tuned", tmp_path / "plain")
    assert (code, stdout) == (2, "")
    assert message in stderr


def test_without_configs_other_inputs_are_a_column_in_words(tmp_path: Path, runs: list[Run]) -> None:
    """Two laws in a notebook: the difference is shown, and the runs are not said to disagree."""
    other_words(tmp_path / "plain")
    compared = compare([read(tmp_path / "tuned"), read(tmp_path / "plain")])
    first, second = (dict(row.changed) for row in compared.rows)
    assert second == {"inputs": "3 independent standard normals"}
    told = runs[0].description["inputs"][0]
    assert first["inputs"] == (told if len(told) <= LONGEST else f"{told[:45]}...")
    assert compared.rows[1].difference is not None
    assert not any("disagree" in note for note in compared.notes)


def test_a_changed_key_is_a_column(tmp_path: Path, runs: list[Run]) -> None:
    path = tmp_path / "plain" / "resolved.yaml"
    path.write_text(path.read_text().replace("returns: log", "returns: simple"))
    other_data(tmp_path / "plain")
    other_threshold(tmp_path / "plain")
    compared = compare([read(tmp_path / "tuned"), read(tmp_path / "plain")])
    changes = [dict(row.changed) for row in compared.rows]
    assert [own.pop("inputs.fit.returns") for own in changes] == ["log", "simple"]
    (of_data,) = {key for own in changes for key in own}
    assert of_data.startswith("sha256 of ")
    assert [own[of_data] for own in changes] == ["9f9f9f9f", "00000000"]
    assert compared.labels == ("Probability",)
    assert [row.label for row in compared.rows] == ["P(loss >= 3)", "P(loss >= 3.5)"]
    first, second = compared.rows
    a, b = (read(tmp_path / name).estimates[0] for name in ("tuned", "plain"))
    assert first.difference is None
    assert second.difference == pytest.approx(b.value - a.value)
    half = (second.difference_upper - second.difference_lower) / 2  # type: ignore[operator]
    assert half == pytest.approx(1.959964 * math.hypot(a.std_error, b.std_error))
    compared.save(tmp_path)
    with (tmp_path / "compare.csv").open(encoding="utf-8") as file:
        assert [row["inputs.fit.returns"] for row in csv.DictReader(file)] == ["log", "simple"]
    code, stdout, _ = call(tmp_path / "tuned", tmp_path / "plain")
    assert code == 0
    assert "difference: from cross_entropy" in stdout


def test_options_of_different_methods_are_no_columns(tmp_path: Path, runs: list[Run]) -> None:
    for name, kind in (("tuned", "cross_entropy, starts: 4"), ("plain", "crude")):
        path = tmp_path / name / "resolved.yaml"
        path.write_text(re.sub("method: {kind: .*", f"method: {{kind: {kind}}}", path.read_text()))
    compared = compare([read(tmp_path / "tuned"), read(tmp_path / "plain")])
    assert [dict(row.changed) for row in compared.rows] == [{}, {}]
    assert compared.names == ["cross_entropy", "crude"]


def test_answers_that_errors_do_not_explain_are_a_note(tmp_path: Path) -> None:
    apart = seeds_of(tmp_path, [1e-3, 1.5e-3], [0.01, 0.01])
    apart = [replace(r, estimates=(replace(r.estimates[0], std_error=r.estimates[0].value / 100),)) for r in apart]
    (note,) = [note for note in compare(apart).notes if "disagree" in note]
    assert re.search(r"disagree on P\(loss >= 3\): they are \d+\.\d standard errors apart", note)
    (tmp_path / "near").mkdir()
    near = seeds_of(tmp_path / "near", [1e-3, 1.02e-3], [0.01, 0.01])
    assert not [note for note in compare(near).notes if "disagree" in note]


def test_same_file_in_another_folder_is_the_same_problem(tmp_path: Path, runs: list[Run]) -> None:
    path = tmp_path / "plain" / "resolved.yaml"
    path.write_text(path.read_text().replace("data/us20", "../elsewhere/us20").replace("seed: 20261124", "seed: 2"))
    assert compare([read(tmp_path / "tuned"), read(tmp_path / "plain")], ["a", "b"]).notes == ()


def test_sigma_that_each_run_estimated_is_a_note(tmp_path: Path, runs: list[Run]) -> None:
    entry = json.loads((tmp_path / "plain" / "result.json").read_text())["estimates"][0]
    note = "3 sigma: mean 0 + 3 x 1.01 (model standard deviation, from 10,000 draws)"
    change(tmp_path / "plain", estimates=[entry | {"threshold": 3.03, "threshold_note": note}])
    (note,) = compare([read(tmp_path / "tuned"), read(tmp_path / "plain")], ["a", "b"]).notes
    assert note.startswith("3 sigma is 3 in one run and 3.03 in another")


def test_interval_that_is_not_what_it_is_called_is_a_note(tmp_path: Path, runs: list[Run]) -> None:
    entry = json.loads((tmp_path / "plain" / "result.json").read_text())["estimates"][0]
    change(tmp_path / "plain", estimates=[entry | {"holds_confidence": False}])
    both = compare([read(tmp_path / "tuned"), read(tmp_path / "plain")], ["a", "b"])
    assert both.notes == (
        ("the interval of b does not hold at its confidence: the variance of its weights may be infinite"),
    )
    both.save(tmp_path)
    with (tmp_path / "compare.csv").open(encoding="utf-8") as file:
        assert [row["holds_confidence"] for row in csv.DictReader(file)] == ["True", "False"]


# ------------------------------------------------------------------ what is shown


@pytest.mark.parametrize("has_reference", [True, False])
def test_table_fits_a_terminal(
    runs: list[Run], has_reference: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tiny = replace(runs[0].estimates[0], value=2.8267e-07, interval=(2.7769e-07, 2.8775e-07))
    tiny = tiny if has_reference else replace(tiny, reference=None)
    runs = [replace(run, estimates=(tiny,)) for run in runs]
    failure = Failure("importance", "method.proposal: is required but missing")
    terminal.show_comparison(compare(runs, ["directional_sampling", "crude"], [failure]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    for text in ("2.827e-07", "[2.777e-07, 2.878e-07]", "directional_sampling", "69,960", "trusted"):
        assert text in words
    assert "importance did not run: method.proposal: is required but missing" in words
    assert ("reference 0.00135" in words, " SE" in words) == (has_reference, has_reference)


def test_figure_shows_every_run_with_a_path(runs: list[Run]) -> None:
    picture = overlay.draw(runs, ["tuned", "plain"])
    assert not isinstance(picture, str)
    assert picture.png.startswith(b"\x89PNG")
    assert "2 runs" in picture.title
    assert "tuned, plain" in picture.alt
    alone = overlay.draw([runs[0], replace(runs[1], convergence=())], ["tuned", "plain"])
    assert not isinstance(alone, str)
    assert "plain" not in alone.alt
    drawn = overlay.draw([replace(runs[1], convergence=())], ["plain"])
    assert drawn == "No run has a path with a hit, so there is nothing to draw."


def test_figure_of_many_runs_says_what_it_leaves_out(runs: list[Run]) -> None:
    picture = overlay.draw([runs[0]] * (overlay.MOST_RUNS + 2), [f"run {i}" for i in range(overlay.MOST_RUNS + 2)])
    assert not isinstance(picture, str)
    assert "2 further runs are not drawn" in picture.caption


# ------------------------------------------------------------------ the verb


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "losses.py").write_text("def first(x):\n    return x[:, 0]\n")
    (tmp_path / "case.yaml").write_text(CONFIG)
    return tmp_path / "case.yaml"


@pytest.mark.slow
def test_methods_are_run_on_the_problem_and_compared(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = call(
        config, "--methods", "crude,importance,cross_entropy", "--out", out, "stop.max_evaluations=2000"
    )
    assert code == 0
    ran = {path.name for path in out.iterdir() if path.is_dir()}
    assert ran == {"crude", "importance"}  # the config's own method keeps its proposal
    assert "crude ..." in stderr
    assert "cross_entropy did not run" in stdout
    assert "max_evaluations" in stdout
    assert {path.name for path in out.iterdir()} - ran == {"compare.json", "compare.csv", "compare.png"}
    with (out / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["crude", "importance"]
    assert list(rows[0]) == [f.name for f in fields(Row) if f.name != "changed"]
    stored = json.loads((out / "compare.json").read_text())
    assert [failure["run"] for failure in stored["failures"]] == ["cross_entropy"]
    for row in stored["rows"]:
        result = json.loads((out / row["run"] / "result.json").read_text())
        assert row["value"] == result["estimates"][0]["value"]
        assert result["stopping"]["max_evaluations"] == 2000


@pytest.mark.slow
def test_seeds_follow_the_one_of_the_config(config: Path, tmp_path: Path) -> None:
    code, stdout, stderr = call(config, "--methods", "crude", "--seeds", 2, "--out", tmp_path / "out", "-q")
    assert (code, stderr) == (0, "")
    found = {path.name: read(path).seed for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert found == {"crude-5": 5, "crude-6": 6}
    assert "Over the seeds" in stdout


@pytest.mark.parametrize("methods", ["importance,crude", "importance"])
@pytest.mark.slow_cases("importance,crude")
def test_loss_that_fails_under_one_method_does_not_lose_the_others(config: Path, tmp_path: Path, methods: str) -> None:
    """Draws of the stated proposal go where the loss fails; those of the target do not."""
    (tmp_path / "losses.py").write_text("def first(x):\n    assert x.max() < 5.0\n    return x[:, 0]\n")
    far = "method.proposal.mean=3.0"
    code, stdout, stderr = call(config, "--methods", methods, "--out", tmp_path / "out", "-q", far)
    assert code == 3
    assert "raised AssertionError" in stdout + stderr
    assert (tmp_path / "out" / "crude" / "report.html").exists() == ("crude" in methods)
    assert "Traceback" not in stdout + stderr


@pytest.mark.slow
def test_folders_are_compared_without_the_users_code(config: Path, tmp_path: Path) -> None:
    for seed in (5, 6):
        arguments = ["run", str(config), f"seed={seed}", "--out", str(tmp_path / f"run{seed}"), "-q"]
        assert CliRunner().invoke(cli.app, arguments).exit_code in (0, 20)
    (tmp_path / "losses.py").write_text("raise SystemExit('imported')\n")
    pair = (tmp_path / "run5", tmp_path / "run6")
    code, stdout, _ = call(*pair, "--plot", tmp_path / "two.png")
    assert code == 0
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
    assert f"Figure: {tmp_path / 'two.png'}" in stdout.replace("\n", "")
    assert not (tmp_path / "out").exists()
    assert call(*pair, "--out", tmp_path / "out")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.json", "compare.csv", "compare.png"}


def test_pickles_are_not_opened(tmp_path: Path, runs: list[Run]) -> None:
    np.savez(tmp_path / "plain" / "arrays.npz", loss=np.array([object()]), log_weight=np.zeros(1))
    code, _, stderr = call(tmp_path / "tuned", tmp_path / "plain")
    assert code == 2
    assert "cannot be read as arrays" in stderr


def files_below(folder: Path) -> list[Path]:
    """All of them but the bytecode of a user's loss, which Python may write beside it."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tuned"], "needs at least two run folders, or one config file"),
        (["tuned", "none"], "none: no such run folder"),
        (["tuned", "plain", "--methods", "crude"], "--methods, --seeds and --workers go with a config file"),
        (["tuned", "plain", "--out", "tuned"], "tuned: already holds files"),
        (["case.yaml", "--methods", "crud"], "unknown method kind 'crud'; did you mean 'crude'?"),
        (["case.yaml", "--methods", "crude", "--out", "tuned"], "tuned: already holds files"),
        (["case.yaml", "plain"], "must have the form key=value"),
        (["case.yaml", "--methods", "cross_entropy", "stop.max_evaluations=100"], "cross_entropy: "),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    config: Path, tmp_path: Path, runs: list[Run], arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_below(tmp_path)
    code, stdout, stderr = call(*arguments)
    assert (code, stdout) == (2, "")
    assert message in stderr
    assert files_below(tmp_path) == before


# --- quantiles ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_quantiles_at_one_level_are_compared_whatever_they_came_to(tmp_path: Path) -> None:
    """Two seeds give two values at risk: they answer one question. Two levels are two questions."""
    loss = raresim.Linear(weights=[1.0, 1.0])
    for name, seed, level in (("a", 1, 0.99), ("b", 2, 0.99), ("c", 1, 0.999)):
        result = raresim.estimate(
            raresim.StandardNormal(dim=2),
            loss,
            raresim.ValueAtRisk(level=level),
            "crude",
            seed=seed,
            relative_error=0.05,
        )
        result.save(tmp_path / name)
    a, b, c = (read(tmp_path / name) for name in "abc")
    found = compare([a, b], ["a", "b"])
    assert list(found.labels) == ["VaR 99 %"]
    assert len({row.value for row in found.rows}) == 2
    with pytest.raises(ConfigError, match=r"it asks for VaR 99.9 %, .* for VaR 99 %: nothing to compare"):
        compare([a, c], ["a", "c"])


def test_names_of_methods_are_whole_in_eighty_columns() -> None:
    numbers: dict[str, Any] = {"mean": 2.188e-12, "between": 0.0687, "reported": 0.0469, "work": 8940.0, "covered": 5}
    names = ("improved_cross_entropy", "subset_simulation", "crude")
    spreads = [Spread(measure=0, method=name, runs=5, trusted=5, **numbers) for name in names]
    console = Console(width=80, file=io.StringIO())
    console.print(terminal._over_seeds(spreads, another=False))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    column = "".join(line[:13].strip(" \u2500") for line in lines[4:])
    assert column == "".join(names)
    assert not any("\u2026" in line for line in lines)
