"""The registry of run folders: what the index says, what is found, and what may be removed."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from raresim.errors import ConfigError
from raresim.files import run_folders
from raresim.files.run_index import INDEX, indexed
from raresim.shell import finding
from tests.shell.test_sweep import call, config  # noqa: F401  # a fixture

VERDICTS = ("trusted", "caution", "untrusted", "bound_only")
DAY = datetime(2026, 11, 30, tzinfo=UTC)


def make(folder, name="book", k=0, started=DAY, verdict="trusted", dof=4):
    """A run folder with the files that the index reads."""
    folder.mkdir(parents=True)
    number = {"label": "P(loss >= 1)", "value": 0.1 + k, "interval": [0.1, 0.2], "relative_error": 0.01}
    result = {
        "name": name,
        "method": "crude",
        "seed": k,
        "estimates": [number | {"verdict": {"status": verdict}}],
        "verdict": {"status": verdict},
        "evaluations": {"total": 100 + k},
    }
    manifest = {"status": "finished", "started": started.isoformat(), "seconds": 1.5}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "resolved.yaml").write_text(
        f"seed: {k}\ninputs: {{kind: student_t, dof: {dof}}}\nmeasures: [{{kind: probability, above: 2 sigma}}]\n"
    )
    return folder


@pytest.fixture
def root(tmp_path):
    """Ten runs, one of each verdict and one a day; one of a sweep; one that is not finished, and one that is broken."""
    root = tmp_path / "runs"
    for k in range(10):
        make(root / "book" / f"r{k}", k=k, started=DAY - timedelta(days=k), verdict=VERDICTS[k % 4], dof=4 + k % 2)
    make(root / "book" / "sweep-1" / "cell", k=50, started=DAY - timedelta(days=50))
    (root / "book" / "sweep-1" / "sweep.json").write_text("{}")
    (root / "book" / "r.partial").mkdir()
    (root / "book" / "r.partial" / "checkpoint").write_bytes(b"")
    (root / "book" / "r.partial" / "so-far").mkdir()
    (root / "book" / "r.partial" / "so-far" / "manifest.json").write_text("{}")
    (root / "broken" / "r").mkdir(parents=True)
    (root / "broken" / "r" / "manifest.json").write_text("[")
    return root


# ------------------------------------------------------------------ the index


def test_an_index_made_anew_equals_the_old_one(tmp_path):
    root = tmp_path / "runs"
    for k in range(200):
        make(root / f"book{k % 7}" / f"r{k}", k=k, started=DAY - timedelta(hours=k), verdict=VERDICTS[k % 4])
    first = indexed(root)
    assert len(first) == 200
    make(root / "book0" / "another", k=200)
    changed = json.loads((root / "book1" / "r1" / "result.json").read_text()) | {"seed": 12345}
    (root / "book1" / "r1" / "result.json").write_text(json.dumps(changed))
    (root / "book2" / "r2" / "manifest.json").unlink()
    updated = indexed(root)
    assert len(updated) == 200
    assert "12345" in {entry.seed for entry in updated}
    assert {entry.path for entry in first} - {entry.path for entry in updated} == {"book2/r2"}
    (root / INDEX).unlink()
    assert indexed(root) == updated


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(root, content):
    before = indexed(root)
    (root / INDEX).write_bytes(content)
    assert indexed(root) == before
    assert indexed(root) == before


def test_an_index_of_another_version_is_made_anew(root):
    before = indexed(root)
    with closing(sqlite3.connect(root / INDEX)) as base, base:
        base.execute("DROP TABLE runs")
        base.execute("CREATE TABLE runs (a)")
        base.execute("PRAGMA user_version = 99")
    assert indexed(root) == before


def test_runs_are_read_once(root, monkeypatch):
    indexed(root)
    monkeypatch.setattr("raresim.files.run_index._read", None)
    assert len(indexed(root)) == 13


def test_runs_below_runs_and_links_are_none(root, tmp_path):
    os.symlink(make(tmp_path / "elsewhere"), root / "book" / "latest")
    paths = [entry.path for entry in indexed(root)]
    assert len(paths) == len(set(paths)) == 13
    assert {entry.status for entry in indexed(root)} == {"finished", "unfinished", "unreadable"}


def test_an_index_that_is_a_link_is_refused(root, tmp_path):
    os.symlink(tmp_path / "other", root / INDEX)
    with pytest.raises(ConfigError, match="must be an ordinary file"):
        indexed(root)
    assert not (tmp_path / "other").exists()


# ------------------------------------------------------------------ the verbs


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("verdict=trusted dof=4", ["r0", "r4", "r8", "cell"]),
        ("verdict!=trusted dof=5 date>=2026-11-25", ["r1", "r3", "r5"]),
        ("date=2026-11-2 name=bo*", [f"r{k}" for k in range(1, 10)]),
        ("inputs.dof>4 seed<4", ["r1", "r3"]),
        ("measures.above=2_sigma evaluations>=109", ["r9", "cell"]),
        ("status=unfinished", ["r.partial"]),
    ],
)
def test_runs_are_found_by_what_is_known_of_them(root, wanted, found):
    entries = finding.matching(indexed(root), finding.conditions(wanted.split()))
    assert [entry.path.rpartition("/")[2] for entry in entries] == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["find", "inputs.doff=4"], "unknown key 'inputs.doff'; did you mean 'inputs.dof'"),
        (["find", "trusted"], "'trusted': must be KEY=VALUE, or with !=, <, <=, > or >=; a name: name=trusted"),
        (["prune"], "give --keep COUNT, --older-than AGE or --incomplete"),
        (["prune", "--older-than", "3"], "must be a number of hours, days or weeks, 12h, 30d or 4w, got '3'"),
        (["show", "r"], " runs begin so, "),
        (["show", "nothing"], "no such run folder"),
    ],
)
def test_a_mistake_is_one_line(root, arguments, message, monkeypatch):
    monkeypatch.chdir(root.parent)
    code, _, stderr = call("runs", *arguments)
    assert code == 2
    assert message in stderr.splitlines()[0]


def test_nothing_goes_without_yes_and_nothing_but_runs_goes(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    (root / "book" / "r9" / "notes.txt").write_text("mine")
    run_folders.point_latest(root / "book" / "r0")
    before = sorted(root.rglob("*"))
    code, stdout, stderr = call("runs", "prune", "--older-than", "1d", "--keep", "2", "--incomplete")
    assert code == 0
    assert stdout.splitlines()[-1] == "7 runs; --yes removes them"
    assert stderr == "runs/book/r9: stays: it holds notes.txt, which no run wrote\n"
    assert sorted(path for path in root.rglob("*") if path.name != INDEX) == before
    code, stdout, _ = call("runs", "prune", "--older-than", "1d", "--keep", "2", "--yes", "--format", "json")
    told = json.loads(stdout)
    assert (code, told["schema_version"], len(told["removed"])) == (0, 1, 7)
    assert sorted(path.name for path in (root / "book").iterdir()) == [
        "latest", "r.partial", "r0", "r1", "r9", "sweep-1"
    ]  # fmt: skip
    assert call("runs", "prune", "--incomplete", "--yes")[0] == 0
    assert not (root / "book" / "r.partial").exists()
    assert (root / "broken" / "r").exists()
    assert call("runs", "prune", "--keep", "0", "--yes")[0] == 0
    assert sorted(path.name for path in (root / "book").iterdir()) == ["latest", "r9", "sweep-1"]
    assert run_folders.latest(root / "book" / "latest") == root / "book" / "r9"


def test_a_run_in_use_is_not_removed(root, monkeypatch):
    from raresim.shell import unfinished

    monkeypatch.chdir(root.parent)
    with unfinished.held(root / "book" / "r.partial"):
        code, stdout, stderr = call("runs", "prune", "--incomplete", "--yes")
    assert code == 0
    assert stdout == "0 runs\n"
    assert "another run is using it" in stderr


# ------------------------------------------------------------------ the newest


@pytest.mark.parametrize("links", [True, False])
def test_latest_stands_for_the_newest_run(config, links, monkeypatch):  # noqa: F811
    monkeypatch.chdir(config.parent)
    if not links:
        monkeypatch.setattr("pathlib.Path.symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError("no links")))
    for n in (2000, 3000):
        assert call("run", config, f"stop.max_evaluations={n}", "-q")[0] in {0, 10, 20}
    link = config.parent / "runs" / "case" / "latest"
    assert link.is_symlink() is links
    newest = run_folders.latest(link)
    assert json.loads((newest / "result.json").read_text())["evaluations"]["total"] == 3000
    code, stdout, stderr = call("report", link)
    assert code == 0, stderr
    assert stdout.strip() == str(newest / "report.html")
    other = next(path.parent for path in link.parent.glob("*/result.json") if path.parent != newest)
    assert call("compare", other, link)[0] == 0
    assert call("verify", link, "-q")[0] == 0
    code, stdout, _ = call("runs", "show", link, "--format", "json")
    assert (code, json.loads(stdout)["result"]["evaluations"]["total"]) == (0, 3000)
    assert newest.name in call("runs")[1]


def test_latest_never_leads_out_of_its_folder(tmp_path):
    for text in ("../elsewhere", "..", "", "/etc"):
        path = tmp_path / "latest"
        path.unlink(missing_ok=True)
        path.write_text(text)
        assert run_folders.latest(path) == path
    path.unlink()
    path.mkdir()
    run_folders.point_latest(make(tmp_path / "r"))
    assert path.is_dir()
    assert not path.is_symlink()
