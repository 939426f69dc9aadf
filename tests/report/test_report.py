"""The report: written from the folder alone, the same bytes every time, safe and complete."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import math
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import numpy as np
import pytest
from matplotlib.axes import Axes

from raresim.errors import ConfigError
from raresim.estimators.base import Unit
from raresim.report import build, entropy, glossary, losses, style, tables, weights
from raresim.report.rows import ROWS
from raresim.report.run import UNITS, read

FIGURES = {"convergence", "levels", "weights", "losses", "information", "entropy"}
HOSTILE = "<script>alert('x')</script>\"'><img src=http://example.com/x onerror=1> $\\frac{ & \u202e\u4e2d"
PATH = "estimate,evaluations,value,std_error,lower,upper\n"
VOID = {"meta", "img", "br", "hr", "link", "input"}
COLUMNS = (
    "start",
    "iteration",
    "level",
    "rarity",
    "evaluations",
    "elites",
    "ess",
    "kl_optimal_proposal",
    "kl_step",
    "cross_entropy",
    "entropy",
    "log_probability",
    "note",
)


# ------------------------------------------------------------------ folders to report on


def estimate_entry(threshold: float, loss: np.ndarray, log_weight: np.ndarray, **changes: Any) -> dict[str, Any]:
    """A probability estimate as a run writes it, computed from weighted losses."""
    weight = np.where(loss >= threshold, np.exp(log_weight), 0.0)
    value, error = float(weight.mean()), float(weight.std() / math.sqrt(loss.size))
    hits = int(np.count_nonzero(weight))
    relative = error / value if value else None
    spread = math.exp(1.96 * relative) if relative else None
    share = weight / weight.sum() if value else weight
    kl = float(math.log(loss.size) + np.sum(share[share > 0] * np.log(share[share > 0]))) if value else None
    entry = {
        "kind": "probability",
        "label": f"P(loss >= {threshold:g})",
        "direction": "above",
        "threshold": threshold,
        "threshold_note": f"{threshold:g} sigma: mean 0 + {threshold:g} x 1 (model standard deviation)",
        "level": None,
        "value": value,
        "log_value": math.log(value) if value else None,
        "std_error": error,
        "relative_error": relative,
        "interval": [value / spread, value * spread] if spread else [0.0, 3.0 / loss.size],
        "confidence": 0.95,
        "interval_kind": "log-scale",
        "unit": "dimensionless",
        "reference": {"value": math.erfc(threshold / math.sqrt(2)) / 2, "source": "normal tail, closed form"},
        "information": budget(-math.log(value) if value else None, kl),
        "diagnostics": {
            "hits": hits,
            "ess": float(1 / np.sum(share**2)) if value else 0.0,
            "max_share": float(share.max()) if value else None,
            "khat": 0.12 if value else None,
            "kl_optimal_proposal": kl,
            "self_information_nats": -math.log(value) if value else None,
            "self_information_bits": -math.log2(value) if value else None,
            "draws_per_effective_hit": float(loss.size * np.sum(share**2)) if value else None,
            "speedup_over_crude": (1 - value) / value / relative**2 / loss.size if relative else None,
        },
        "verdict": verdict("trusted"),
    }
    return entry | changes


def budget(event: float | None, kl: float | None) -> dict[str, float | None]:
    """The information block of an estimate, from nats; without a hit, of nothing."""
    if event is None or kl is None:
        keys = ("event_nats", "event_bits", "crude_draws", "proposal_nats", "proposal_bits", "proposal_draws")
        return dict.fromkeys((*keys, "saved_share"))
    return {
        "event_nats": event,
        "event_bits": event / math.log(2),
        "crude_draws": math.exp(event) if event < 700 else None,
        "proposal_nats": kl,
        "proposal_bits": kl / math.log(2),
        "proposal_draws": math.exp(kl),
        "saved_share": 1 - kl / event,
    }


def verdict(status: str, **changes: Any) -> dict[str, Any]:
    checks = [
        {"name": "hits", "value": 20311, "status": "trusted", "message": "20,311 draws hit the event (100 wanted)"},
        {"name": "ess", "value": 9000, "status": "trusted", "message": "they are worth 9,000 equally weighted hits"},
        {"name": "relative_error", "value": 0.0098, "status": "trusted", "message": "the relative error is 0.98%"},
        {"name": "khat", "value": 0.12, "status": "trusted", "message": "k-hat 0.12: the weights have a variance"},
        {"name": "max_share", "value": 0.0006, "status": "trusted", "message": "the largest weight carries 0.06%"},
        {"name": "search", "value": 4, "status": "trusted", "message": "4 of 4 starts reached the threshold"},
    ]
    return {
        "status": status,
        "scope": "failure regions reachable from the nominal by raising the loss; 8,000 plain draws",
        "hidden_mass_bound": 3.7e-4,
        "checks": checks,
        "advice": [],
    } | changes


def levels(threshold: float) -> list[dict[str, Any]]:
    rows = []
    for start in [0, 1, 2, 3, "pooled"]:
        climb = [threshold] if start == "pooled" else [1.28 + 0.05 * start, 2.6, 3.7 - 0.04 * start, 4.6, threshold]
        for i, level in enumerate(climb):
            at = 5 if start == "pooled" else i
            kl = 0.86 if start == "pooled" else 4.8 * 0.62**i + 0.3 + 0.05 * start
            rows.append(
                dict(
                    zip(
                        COLUMNS,
                        (
                            start,
                            at,
                            level,
                            0.1,
                            1000,
                            100,
                            80.0 - 3 * i,
                            kl,
                            1.7 / (i + 1),
                            27.0 - 0.3 * i + kl,
                            27.0 - 0.3 * i,
                            -2.3 * (i + 1),
                            "",
                        ),
                        strict=True,
                    )
                )
            )
    return rows


def write_run(
    folder: Path,
    *,
    estimates: list[dict[str, Any]],
    loss: np.ndarray,
    log_weight: np.ndarray,
    method: str = "cross_entropy",
    overall: dict[str, Any] | None = None,
    iterations: list[dict[str, Any]] | None = None,
    sign: int = 1,
    name: str = "five-sigma-portfolio",
    text: str = "",
) -> Path:
    """Write a whole run folder; ``text`` is added to every field that a user can fill in."""
    folder.mkdir()
    iterations = [] if iterations is None else iterations
    primary = min(estimates, key=lambda e: e["value"])
    weighted = {
        "kl_proposal_target": 12.5,
        "kl_target_optimal": primary["diagnostics"]["self_information_nats"],
        "entropy": {"optimal": 26.58, "cross_entropy_target": 41.64, "cross_entropy_proposal": 27.44},
    }
    if not iterations:
        weighted["entropy"] = {}
    is_crude = method == "crude"
    stages = {
        "explore": 0,
        "tune": 0 if is_crude else 21000,
        "estimate": 40960,
        "audit": 0 if is_crude else 8000,
    }
    result = {
        "schema_version": 1,
        "name": name,
        "seed": 20261124,
        "method": method,
        "description": {
            "inputs": [
                "student_t, 20 factors (21 latent coordinates)" + text,
                "fitted to us20_prices.csv, 5785 daily log returns 2000-01-04 .. 2022-12-28",
                "dof 4.1 by maximum likelihood; Ledoit-Wolf shrinkage 0.004",
            ],
            "loss": ["linear portfolio, 20 equal weights, loss = -sum w_i x_i"],
            "method": ["cross_entropy, gaussian mean_shift, 4 starts"],
        },
        "estimates": estimates,
        "evaluations": stages | {"total": sum(stages.values())},
        "seconds": {"compile": 1.2, "total": 2.0},
        "speedup_over_crude": primary["diagnostics"]["speedup_over_crude"],
        "diagnostics": primary["diagnostics"] | weighted,
        "iterations": iterations,
        "verdict": overall or primary["verdict"],
    }
    config = (
        "name: five-sigma-portfolio\nseed: 20261124\n"
        "inputs:\n  kind: student_t\n  fit: {prices: data/us20_prices.csv, from: 2000-01-01, returns: log}\n"
        "loss: {kind: linear, weights: equal}\nmeasures:\n  - {kind: probability, above: 5 sigma}\n"
        "method: {kind: cross_entropy, proposal: {kind: gaussian}}\n"
        "stop: {relative_error: 0.01, max_evaluations: 5e6}\n" + text
    )
    manifest = {
        "status": "finished",
        "raresim": "0.1.0",
        "python": "3.11.7",
        "packages": {"numpy": "2.4.6", "scipy": "1.17.1", "numba": "0.68.0"},
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "files": [
            {
                "name": "us20_prices.csv" + text,
                "bytes": 1234567,
                "sha256": "9f" * 32,
                "rows": 5786,
                "columns": 21,
                "first": "2000-01-03",
                "last": "2022-12-28",
            }
        ],
        "started": "2026-11-24T12:00:00Z",
        "seconds": 2.0,
        "cpu": "x86-64, 2 cores, AVX-512",
        "executor": "threads",
        "workers": 2,
        "seed": 20261124,
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "resolved.yaml").write_text("# every default filled in\n" + config, encoding="utf-8")
    with (folder / "convergence.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["estimate", "evaluations", "value", "std_error", "lower", "upper"])
        for index, entry in enumerate(estimates):
            for n in np.unique(np.geomspace(512, loss.size, 40).astype(int)):
                at = estimate_entry(sign * (entry["threshold"] or 0.0), sign * loss[:n], log_weight[:n])
                writer.writerow([index, n, at["value"], at["std_error"], *at["interval"]])
    with (folder / "iterations.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        rows.writerows(iterations)
    hits = log_weight[sign * loss >= sign * (primary["threshold"] or 0.0)]
    np.savez(folder / "arrays.npz", loss=loss, log_weight=log_weight, top_log_weight=np.sort(hits)[::-1][:1000])
    return folder


def draws(shift: float, n: int = 40960) -> tuple[np.ndarray, np.ndarray]:
    """Losses of a shifted standard normal with their exact log weights."""
    loss = shift + np.random.default_rng(7).standard_normal(n)
    return loss, -shift * loss + shift**2 / 2


def trusted(folder: Path) -> Path:
    loss, log_weight = draws(5.0)
    entry = estimate_entry(5.0, loss, log_weight)
    return write_run(folder, estimates=[entry], loss=loss, log_weight=log_weight, iterations=levels(5.0))


def crude(folder: Path) -> Path:
    loss, log_weight = draws(0.0)
    entry = estimate_entry(2.0, loss, log_weight, interval_kind="exact (Clopper-Pearson)")
    entry["diagnostics"] |= {"khat": None}
    return write_run(folder, estimates=[entry], loss=loss, log_weight=log_weight, method="crude")


def bound_only(folder: Path) -> Path:
    loss, log_weight = draws(0.0)
    advice = ["use cross_entropy: crude sampling needs about 3,500,000 draws for one event"]
    none = verdict(
        "bound_only",
        advice=advice,
        checks=[{"name": "data", "value": 0, "status": "bound_only", "message": "no event in 40,960 draws"}],
    )
    entry = estimate_entry(5.0, loss, log_weight, interval_kind="bound", verdict=none)
    assert entry["value"] == 0
    return write_run(folder, estimates=[entry], loss=loss, log_weight=log_weight, method="crude")


def several(folder: Path) -> Path:
    loss, log_weight = draws(4.0)
    entries = [estimate_entry(t, loss, log_weight) for t in (3.0, 4.0, 5.0)]
    risk = estimate_entry(3.09, loss, log_weight) | {
        "kind": "value_at_risk",
        "label": "VaR 99.9 %",
        "threshold": None,
        "threshold_note": "",
        "level": 0.999,
        "value": 3.0902,
        "std_error": 0.0021,
        "relative_error": 0.00068,
        "interval": [3.0861, 3.0943],
        "interval_kind": "inversion",
        "unit": "USD m",
        "reference": None,
    }
    run = write_run(folder, estimates=[*entries, risk], loss=loss, log_weight=log_weight, iterations=levels(5.0))
    table = run / "convergence.csv"
    rows = [row.split(",") for row in table.read_text().splitlines() if not row.startswith("3,")]
    for n in range(1000, 41000, 2000):
        half = 0.41 / math.sqrt(n)
        rows.append(["3", str(n), repr(3.09 + half / 3), repr(half / 2), repr(3.09 - half), repr(3.09 + half)])
    table.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return run


def caution(folder: Path) -> Path:
    loss, log_weight = draws(3.0)
    doubts = verdict("caution", advice=["raise max_evaluations to 400,000", "use a heavier-tailed proposal: student_t"])
    doubts["checks"][3] |= {
        "value": 0.61,
        "status": "caution",
        "message": "k-hat 0.61: the interval is optimistic",
    }
    doubts["checks"][5] |= {"value": 2, "status": "caution", "message": "2 of 2 starts reached it; 4 starts wanted"}
    entry = estimate_entry(5.0, loss, log_weight, verdict=doubts)
    entry["diagnostics"]["khat"] = 0.61
    return write_run(folder, estimates=[entry], loss=loss, log_weight=log_weight, iterations=levels(5.0))


def untrusted(folder: Path) -> Path:
    loss, log_weight = draws(1.5, 4096)
    bad = verdict("untrusted", advice=["tune for longer: the starts stopped below the threshold"])
    bad["checks"][0] |= {"value": 9, "status": "untrusted", "message": "9 hits, at least 30 are needed"}
    bad["checks"][3] |= {
        "value": 0.84,
        "status": "untrusted",
        "message": "k-hat 0.84: the weights have no finite variance",
    }
    entry = estimate_entry(4.0, loss, log_weight, verdict=bad)
    entry["diagnostics"]["khat"] = 0.84
    return write_run(folder, estimates=[entry], loss=loss, log_weight=log_weight, iterations=levels(5.0)[:4])


def below(folder: Path) -> Path:
    """A limit state: the event is ``loss <= 0`` and everything has the user's sign."""
    loss, log_weight = draws(3.0)
    g = 3.0 - loss
    entry = estimate_entry(3.0, loss, log_weight) | {"label": "P(g <= 0)", "direction": "below", "threshold": 0.0}
    entry["threshold_note"] = ""
    entry["reference"]["source"] = "three-sigma normal tail"
    climb = [row | {"level": 5.0 - row["level"]} for row in levels(5.0)]
    return write_run(folder, estimates=[entry], loss=g, log_weight=log_weight, iterations=climb, sign=-1)


def hostile(folder: Path) -> Path:
    loss, log_weight = draws(5.0)
    doubts = verdict("caution", scope=HOSTILE, advice=[HOSTILE])
    doubts["checks"].append({"name": HOSTILE, "value": None, "status": "caution", "message": HOSTILE})
    entry = estimate_entry(
        5.0,
        loss,
        log_weight,
        label=HOSTILE,
        threshold_note=HOSTILE,
        interval_kind=HOSTILE,
        unit=HOSTILE,
        reference={"value": 2.9e-7, "source": HOSTILE},
        verdict=doubts,
    )
    other = estimate_entry(4.0, loss, log_weight, label=HOSTILE)
    rows = [row | {"start": HOSTILE, "note": HOSTILE} for row in levels(5.0)]
    return write_run(
        folder,
        estimates=[entry, other],
        loss=loss,
        log_weight=log_weight,
        iterations=rows,
        name=HOSTILE,
        text=HOSTILE,
    )


RUNS = {f.__name__: f for f in (trusted, crude, bound_only, several, caution, untrusted, below, hostile)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of run, with its report built once."""
    root = tmp_path_factory.mktemp("runs")
    folders = {name: make(root / name) for name, make in RUNS.items()}
    for folder in folders.values():
        assert build(folder) == folder / "report.html"
    return folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return trusted(tmp_path / "run")


# ------------------------------------------------------------------ reading a page back


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = self.style = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif self.open:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


# ------------------------------------------------------------------ every report


@pytest.mark.parametrize("name", RUNS)
def test_page_is_self_contained(built: dict[str, Path], name: str) -> None:
    seen = page(built[name])
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "a",
        "main",
        "section",
        "div",
        "span",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "ol",
        "b",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "code",
        "img",
        "figcaption",
        "details",
        "summary",
        "pre",
        "footer",
        "svg",
        "rect",
    }
    assert {tag for tag, _ in seen.tags} <= allowed
    for tag, attributes in seen.tags:
        assert not any(key.startswith("on") or key == "style" for key in attributes)
        if "src" in attributes:
            assert tag == "img"
            drawing = attributes["src"] or ""
            assert drawing.startswith("data:image/svg+xml,%3Csvg ")
            assert not re.search(r"script|href='[^#]|style='[^']*url\([^#]|@import", unquote(drawing))
            assert attributes["alt"]
        assert (attributes.get("href") or "#").startswith("#")
    policy = [a["content"] for t, a in seen.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    sheet = base64.b64encode(hashlib.sha256(seen.style.encode()).digest()).decode()
    own = f"style-src 'sha256-{sheet}'"
    assert policy == [f"default-src 'none'; img-src data:; {own}; base-uri 'none'; form-action 'none'"]
    if name != "hostile":
        html = (built[name] / "report.html").read_text(encoding="utf-8")
        assert "http" not in re.sub(r"http-equiv|'http://www.w3.org/(2000/svg|1999/xlink)'", "", html)


@pytest.mark.parametrize("name", RUNS)
def test_links_and_ids_match(built: dict[str, Path], name: str) -> None:
    tags = page(built[name]).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for t, a in tags if t == "a"} <= {f"#{i}" for i in ids}


@pytest.mark.parametrize("name", RUNS)
def test_figures_are_images_of_a_sane_size(built: dict[str, Path], name: str) -> None:
    files = sorted((built[name] / "figures").iterdir())
    assert {f.stem for f in files} <= FIGURES
    for file in files:
        width, height = png_size(file)
        assert 700 <= width <= 1600
        assert 150 <= height <= 1200
        assert 5_000 < file.stat().st_size < 200_000
    images = [a for t, a in page(built[name]).tags if t == "img"]
    assert len(images) == len(files)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trusted", "several", "hostile"])
def test_same_folder_gives_same_bytes(built: dict[str, Path], name: str, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(built[name], copy, ignore=shutil.ignore_patterns("figures", "report.html"))
    build(copy)
    for old in [built[name] / "report.html", *sorted((built[name] / "figures").iterdir())]:
        assert (copy / old.relative_to(built[name])).read_bytes() == old.read_bytes()


@pytest.mark.slow
def test_user_style_changes_nothing(built: dict[str, Path], run: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "black", "savefig.dpi": 50}):
        build(run)
        assert matplotlib.rcParams["font.size"] == 20.0
    assert (run / "report.html").read_bytes() == (built["trusted"] / "report.html").read_bytes()


@pytest.mark.slow
def test_second_process_gives_same_bytes(built: dict[str, Path], run: Path) -> None:
    code = "import sys; from pathlib import Path; from raresim.report import build; build(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(run)], check=True)
    assert (run / "report.html").read_bytes() == (built["trusted"] / "report.html").read_bytes()


def test_import_needs_neither_matplotlib_nor_jinja() -> None:
    code = "import sys, raresim.report; assert not {'matplotlib', 'jinja2', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------ what a page says


def test_verdict_stands_before_the_number(built: dict[str, Path]) -> None:
    words = page(built["trusted"]).words
    assert words.index("Every check passed") < words.index("95 % interval") < words.index("What it cost")
    assert "6 of 6 checks passed" in words


def test_headline_has_interval_error_and_reference(built: dict[str, Path]) -> None:
    words = page(built["trusted"]).words
    entry = json.loads((built["trusted"] / "result.json").read_text())["estimates"][0]
    assert tables.number(entry["value"]) in words
    assert tables.interval(*entry["interval"]) in words
    assert "standard errors" in words
    assert "agrees" in words
    assert "normal tail, closed form" in words


@pytest.mark.slow
@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.usefixtures("unrendered")
def test_interval_is_called_nominal_on_the_page_and_in_its_figure(run: Path, holds: bool) -> None:
    from raresim.report import convergence

    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    edit(run / "result.json", estimates=[entry | {"holds_confidence": holds}])
    build(run)
    assert page(run).words.count("nominal 95 %") == (0 if holds else 2)
    assert convergence._band(read(run).primary) == f"{'' if holds else 'nominal '}95 % interval"


def test_flag_that_is_no_flag_is_refused(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    edit(run / "result.json", estimates=[entry | {"holds_confidence": "yes"}])
    with pytest.raises(ConfigError, match="holds_confidence: must be true or false, got"):
        read(run)


def test_scope_and_hidden_mass_are_stated(built: dict[str, Path]) -> None:
    words = page(built["trusted"]).words
    assert "Scope: failure regions reachable from the nominal" in words
    assert "Hidden-mass bound 3.700e-04" in words
    assert "times the estimate" in words


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("trusted", "Trusted"),
        ("caution", "Caution"),
        ("untrusted", "Untrusted"),
        ("bound_only", "Bound only"),
    ],
)
def test_badge_is_a_word_and_a_colour(built: dict[str, Path], name: str, word: str) -> None:
    html = (built[name] / "report.html").read_text(encoding="utf-8")
    assert re.search(rf'<section class="verdict {name}"', html)
    assert re.search(rf'<span class="badge {name}">\S {word}</span>', html)


def test_caution_gives_reasons_and_advice(built: dict[str, Path]) -> None:
    words = page(built["caution"]).words
    assert words.index("k-hat 0.61: the interval is optimistic") < words.index("raise max_evaluations to 400,000")
    assert words.index("4 starts wanted") < words.index("95 % interval")
    assert "4 of 6 checks passed" in words


def test_bound_is_not_shown_as_zero(built: dict[str, Path]) -> None:
    words = page(built["bound_only"]).words
    assert "\u2264 7.324e-05" in words.replace("\u00a0", " ")
    assert "upper limit, not an estimate" in words
    assert "In odds" not in words
    assert {f.stem for f in (built["bound_only"] / "figures").iterdir()} == {"convergence", "losses"}


def test_crude_has_no_weights_and_no_levels(built: dict[str, Path]) -> None:
    words = page(built["crude"]).words
    assert {f.stem for f in (built["crude"] / "figures").iterdir()} == {
        "convergence",
        "losses",
        "information",
    }
    assert "All hits have the same weight" in words
    assert "No levels figure." in words
    assert "Iterations" not in words


def test_primary_is_the_rarest(built: dict[str, Path]) -> None:
    words = page(built["several"]).words
    assert words.index("P(loss >= 5)") < words.index("P(loss >= 3)")
    assert "3.0902 USD m" in words
    assert "[3.0861, 3.0943]" in words


def test_information_budget_stands_near_the_top(built: dict[str, Path]) -> None:
    words = page(built["trusted"]).words
    entry = json.loads((built["trusted"] / "result.json").read_text())["estimates"][0]
    of = entry["information"]
    section = words[words.index("Information budget Draws of the target") : words.index("Sampling behind")]
    for amount in (of["event_nats"], of["event_bits"], of["proposal_nats"], of["proposal_bits"]):
        assert f"{amount:.2f}" in section
    assert tables.draws(of["crude_draws"], None) in section
    assert tables.draws(of["proposal_draws"], None) in section
    assert tables.percent(of["saved_share"]).replace(" ", "\u00a0") in section.replace(" %", "\u00a0%")
    assert "41.64" in section
    assert "26.58" in section


def test_budget_of_several_estimates_has_a_row_for_each(built: dict[str, Path]) -> None:
    words = page(built["several"]).words
    section = words[words.index("For each estimate") : words.index("Sampling behind")]
    for entry in json.loads((built["several"] / "result.json").read_text())["estimates"]:
        assert f"{entry['label']}{entry['information']['event_nats']:.2f}" in section


def test_budget_that_cannot_be_read_is_not_shown(built: dict[str, Path]) -> None:
    assert "Information budget" not in page(built["bound_only"]).words
    assert "the same, because the draws come from the target itself" in page(built["crude"]).words


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_unknown_information_still_gives_a_page(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    for entry in result["estimates"]:
        entry["information"] = dict.fromkeys(entry["information"])
    for row in result["iterations"]:
        row |= {"cross_entropy": None, "entropy": None}
    del result["diagnostics"]["entropy"]
    (run / "result.json").write_text(json.dumps(result))
    words = page(build(run).parent).words
    assert "Information budget" not in words
    assert "Cross-entropy" not in words
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES - {"information", "entropy"}


@pytest.mark.slow
def test_entropies_of_a_lower_level_are_not_passed_off_as_the_events(run: Path) -> None:
    edit(run / "result.json", iterations=levels(5.0)[:3])
    words = page(build(run).parent).words
    assert "Entropy, the floor" not in words
    assert "41.64" not in words
    assert (run / "figures" / "entropy.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_tuning_that_ended_with_the_target_claims_no_saving(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    edit(run / "result.json", estimates=[entry | {"information": budget(1.5, 1.5)}])
    stored = np.load(run / "arrays.npz")
    np.savez(run / "arrays.npz", loss=stored["loss"], log_weight=np.zeros(stored["loss"].shape))
    seen = page(build(run).parent)
    assert any((a["alt"] or "").startswith("Crude Monte Carlo pays all") for t, a in seen.tags if t == "img")
    assert "the same, because the draws come from the target itself" in seen.words
    assert "Entropy, the floor" not in seen.words


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_proposal_worse_than_none_is_told(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    edit(run / "result.json", estimates=[entry | {"information": budget(15.0, 18.0)}])
    seen = page(build(run).parent)
    assert any((a["alt"] or "").startswith("Nothing saved") for t, a in seen.tags if t == "img")
    assert "-20 %" in seen.words.replace("\u00a0", " ")


@pytest.mark.parametrize("name", RUNS)
def test_every_table_head_and_check_links_to_the_glossary(built: dict[str, Path], name: str) -> None:
    html = (built[name] / "report.html").read_text(encoding="utf-8")
    heads = re.findall(r'<th scope="(?:col|row)"[^>]*>(.*?)</th>', html)
    assert len(heads) > 20
    assert all(re.fullmatch(r'<a class="term" href="#term-[a-z0-9-]+">[^<]+</a>', head) for head in heads if head)
    checks = re.findall(r'<td class="name check">(.*?)</td>', html)
    assert all(
        re.fullmatch(r'<a class="term" href="#term-[a-z0-9-]+">[a-z ]+</a>', c) for c in checks if "&lt;" not in c
    )


@pytest.mark.parametrize("name", RUNS)
def test_glossary_is_what_the_page_links_to(built: dict[str, Path], name: str) -> None:
    seen = page(built[name])
    entries = [a["id"] for t, a in seen.tags if t == "div" and (a.get("id") or "").startswith("term-")]
    links = {a["href"] for t, a in seen.tags if t == "a" and (a["href"] or "").startswith("#term-")}
    assert {f"#{entry}" for entry in entries} == links
    for entry in entries:
        term = glossary.explain((entry or "").removeprefix("term-"))
        for text in (term.name, term.definition, term.formula, term.reading):
            assert " ".join(text.split()) in seen.words


def test_provenance_lists_files_versions_and_hash(built: dict[str, Path]) -> None:
    words = page(built["trusted"]).words
    for text in (
        "us20_prices.csv",
        "9f" * 32,
        "1,234,567",
        "numpy 2.4.6",
        "20261124",
        "2026-11-24T12:00:00Z",
        "rows 5,786",
        "first 2000-01-03",
    ):
        assert text in words
    assert "kind: student_t" in words


def test_path_of_the_folder_stays_out_of_the_page(built: dict[str, Path]) -> None:
    assert str(built["trusted"]) not in (built["trusted"] / "report.html").read_text(encoding="utf-8")


def test_hostile_text_stays_text(built: dict[str, Path]) -> None:
    seen = page(built["hostile"])
    assert "script" not in {tag for tag, _ in seen.tags}
    assert len([tag for tag, _ in seen.tags if tag == "img"]) == len(FIGURES)
    assert seen.text.count("<script>alert('x')</script>") >= 10
    assert not any("alert" in (v or "") for t, a in seen.tags for k, v in a.items() if k not in ("alt",))


def test_text_cannot_reorder_or_hide_what_is_read(built: dict[str, Path]) -> None:
    html = (built["hostile"] / "report.html").read_text(encoding="utf-8")
    assert "\u202e" not in html
    assert "\u4e2d" in html


@pytest.mark.slow
def test_lone_surrogate_does_not_stop_the_page(run: Path) -> None:
    edit(run / "result.json", name="\ud800")
    assert "?" in page(build(run).parent).words


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_only_numbered_starts_are_counted(run: Path) -> None:
    shared = levels(5.0)[0] | {"start": "all"}
    edit(run / "result.json", iterations=[shared, *levels(5.0)[:-1], levels(5.0)[-1] | {"iteration": 0}])
    alternatives = [a["alt"] or "" for t, a in page(build(run).parent).tags if t == "img"]
    assert any(alt.startswith("All 4 starts reached the threshold") for alt in alternatives)


@pytest.mark.slow
def test_stale_figures_are_removed(run: Path) -> None:
    build(run)
    edit(run / "result.json", iterations=[])
    build(run)
    assert not (run / "figures" / "levels.png").exists()


# ------------------------------------------------------------------ rows that are not draws, and how a method decided


def rows_of(run: Path, unit: str, **arrays: np.ndarray) -> Path:
    """``run`` as if its estimate were the mean of rows of another kind, with the same weights and no kept draws."""
    stored = json.loads((run / "result.json").read_text())
    entry = stored["estimates"][0]
    rows = {"rows": 20, "hits": 18, "khat": None} if unit == "replicate" else {"rows": 2000, "hits": 1000}
    entry["diagnostics"] |= rows
    entry["log_value"] = math.log(entry["value"])
    entry["information"] |= {"proposal_nats": 0.0, "proposal_draws": 1.0}
    edit(run / "result.json", estimates=[entry], search={"unit": unit}, iterations=[])
    top = np.sort(entry["log_value"] + np.random.default_rng(5).normal(0.0, 0.4, rows["hits"]))[::-1]
    nothing = np.zeros(0)
    np.savez(run / "arrays.npz", **({"loss": nothing, "log_weight": nothing, "top_log_weight": top} | arrays))
    return run


def alternatives(seen: Page) -> str:
    return " | ".join(a["alt"] or "" for t, a in seen.tags if t == "img")


def test_units_are_those_of_the_estimators() -> None:
    assert get_args(Unit) == UNITS == tuple(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "many"), [("line", "lines"), ("direction", "directions")])
@pytest.mark.usefixtures("unrendered")
def test_rows_are_called_what_they_are(run: Path, unit: str, many: str) -> None:
    seen = page(build(rows_of(run, unit)).parent)
    sampling = seen.words[seen.words.index("Sampling behind each estimate") : seen.words.index("What it cost")]
    assert f"{many.capitalize()} {many.capitalize()} in the event Effective {many}".replace(" ", "") in (
        sampling.replace(" ", "")
    )
    assert f"{many.capitalize()} per effective {unit}" in sampling
    assert "2,000" in sampling
    assert "hits" not in sampling.lower()
    assert f"fresh {many}, the only ones" in seen.words
    assert f" 1 {many}" not in seen.words
    assert f"The numbers come from {many}, and the losses along them were not kept." in seen.words
    assert f"No single {unit} dominates" in alternatives(seen)
    assert f"about 1 {unit} for one effective {unit}" in alternatives(seen)
    assert {file.stem for file in (run / "figures").iterdir()} == {"convergence", "weights", "information"}


def test_replicates_have_no_weights_but_a_spread(run: Path) -> None:
    seen = page(build(rows_of(run, "replicate")).parent)
    sampling = seen.words[seen.words.index("Sampling behind each estimate") : seen.words.index("What it cost")]
    assert "ReplicatesReplicates in the eventSpeed-up" in sampling
    assert "k\u2011hat" not in sampling
    assert "2 of 20 replicates did not reach the event and count as zero" in alternatives(seen)
    assert "Each of the replicates of this run is an estimate of its own" in seen.words
    for word in ("KL(optimal \u2016 proposal)", "Saved share", "This proposal pays"):
        assert word not in seen.words.split("Glossary The words")[0] + alternatives(seen)
    assert (run / "figures" / "weights.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_replicates_of_several_measures_have_no_column_of_a_proposal(run: Path) -> None:
    rows_of(run, "replicate")
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    edit(run / "result.json", estimates=[entry, entry | {"threshold": 4.0, "label": "P(loss >= 4)"}])
    words = page(build(run).parent).words
    section = words[words.index("For each estimate") : words.index("Sampling behind")]
    assert "Crude draws" in section
    assert "proposal" not in section.lower()


def test_path_begins_where_its_interval_says_something(run: Path) -> None:
    """Two replicates have an interval up to one, which would leave no room for the rest of the path."""
    from raresim.report import convergence

    rows = ["0,100,1e-6,1e-6,1e-12,1", "0,200,2e-6,1e-6,5e-7,8e-6", "0,400,2e-6,5e-7,1e-6,4e-6"]
    (run / "convergence.csv").write_text(PATH + "\n".join(rows) + "\n")
    known = read(run).traces[0]
    assert convergence._telling(known).evaluations.tolist() == [200.0, 400.0]
    (run / "convergence.csv").write_text(PATH + "0,100,0,,0,1\n0,200,0,,0,1\n")
    assert convergence._telling(read(run).traces[0]).evaluations.tolist() == [100.0, 200.0]


@pytest.mark.parametrize("unit", ["line", "direction", "replicate"])
@pytest.mark.parametrize("n_kept", [0, 1])
def test_weights_that_were_not_kept_are_not_drawn(run: Path, unit: str, n_kept: int) -> None:
    from raresim.report import weights

    said = weights.draw(read(rows_of(run, unit, top_log_weight=np.zeros(n_kept))))
    assert isinstance(said, str)
    assert "kept" in said


def test_exact_rows_agree_with_an_exact_reference(run: Path) -> None:
    """Every line gives the exact probability: no error, an interval of no width, and a path of one point."""
    exact = math.erfc(5.0 / math.sqrt(2.0)) / 2
    entry = json.loads((rows_of(run, "line") / "result.json").read_text())["estimates"][0]
    entry |= {"value": exact * (1 + 1e-12), "std_error": 0.0, "relative_error": 0.0, "interval": [exact, exact]}
    edit(run / "result.json", estimates=[entry])
    np.savez(run / "arrays.npz", loss=np.zeros(0), log_weight=np.zeros(0), top_log_weight=np.full(9, math.log(exact)))
    (run / "convergence.csv").write_text(PATH + f"0,3300,{exact},0,{exact},{exact}\n")
    words = page(build(run).parent).words
    assert "agrees to nine digits" in words
    assert "All lines in the event have the same weight" in words
    assert (run / "figures" / "convergence.png").exists()


def test_unknown_unit_is_located(run: Path) -> None:
    edit(run / "result.json", search={"unit": "walk"})
    assert refused(run).endswith(".unit: must be one of draw, line, direction, replicate, batch, got 'walk'")


TRACE = {
    "tables": [{"title": "Trial of three families", "columns": ["family", "KL"], "rows": [["normal", 1.25]]}],
    "plots": [
        {
            "form": "line",
            "title": "Evaluations left",
            "x_label": "step",
            "y_label": "evaluations",
            "x": [0, 2, 1],
            "y": [1e6, 1e2, 1e3],
            "low": [],
            "high": [],
        },
        {
            "form": "points",
            "title": "Design points",
            "x_label": "climb",
            "y_label": "distance",
            "x": [1, 2, 3],
            "y": [-5.0, 5.5, None],
            "low": [4.5, 5.0, 5.5],
            "high": [5.5, None, 6.5],
        },
    ],
}


def decided(run: Path, trace: dict[str, Any] | None, *sentences: str) -> Path:
    edit(run / "result.json", search={"decisions": list(sentences)})
    if trace is not None:
        (run / "trace.json").write_text(json.dumps(trace))
    return run


@pytest.mark.slow
def test_decisions_and_trace_have_a_section(run: Path) -> None:
    seen = page(build(decided(run, TRACE, "The family is normal.", HOSTILE)).parent)
    section = seen.words[seen.words.index("How the method decided") : seen.words.index("Iterations Start")]
    assert section.index("The family is normal.") < section.index("<script>") < section.index("Trial of three families")
    assert section.index("normal") < section.index("1.25")
    assert "script" not in {tag for tag, _ in seen.tags}
    assert ("a", {"href": "#decisions"}) in seen.tags
    assert "Plots: Evaluations left, Design points." in alternatives(seen)
    assert (run / "figures" / "trace.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trace", "sentences", "shown"),
    [(None, (), False), (None, ("One.",), True), ({"tables": TRACE["tables"]}, (), True), ({}, (), False)],
)
@pytest.mark.usefixtures("unrendered")
def test_section_is_there_when_there_is_something_to_say(
    run: Path, trace: dict[str, Any] | None, sentences: tuple[str, ...], shown: bool
) -> None:
    words = page(build(decided(run, trace, *sentences)).parent).words
    assert ("How the method decided" in words) is shown


# --- exhibits ----------------------------------------------------------------------------------------


EXHIBIT: dict[str, Any] = {
    "name": "shares",
    "title": "Shares of a loss",
    "columns": ["threshold", "std_error", "value"],
    "rows": [[1000.0 + k, 0.1, 1.0 * k] for k in range(90)],
    "notes": ["Read from the rows.", HOSTILE],
    "status": "caution",
    "plots": [
        {"form": form, "title": title, "x_label": "x", "y_label": "y"}
        | {"x": [1.0, 2.0], "y": [0.1, 0.01], "low": [0.09, 0.008], "high": [0.11, 0.02], "labels": labels}
        for form, title, labels in (
            ("bars", "First bars", ["one", "two"]),
            ("bars", "Second bars", ["one", "two"]),
            ("curve", "The curve", []),
            ("band", "Its band", []),
            ("marks", "Its marks", []),
            ("line", "A line", []),
        )
    ],
}


def exhibited(run: Path, *exhibits: dict[str, Any]) -> Path:
    (run / "exhibits.json").write_text(json.dumps({"exhibits": list(exhibits)}))
    return run


@pytest.mark.slow
def test_exhibits_have_a_section_with_badge_table_notes_and_figures(run: Path) -> None:
    seen = page(build(exhibited(run, EXHIBIT)).parent)
    section = seen.words[seen.words.index("Shares of a loss") :]
    assert section.startswith("Shares of a loss ! Caution")
    assert "One row in 3 is shown; shares.csv has all 90." in section
    assert section.index("1,0020.12") < section.index("1,0890.189") < section.index("Read from the rows.")
    assert "script" not in {tag for tag, _ in seen.tags}
    assert ("a", {"href": "#shares"}) in seen.tags
    assert {p.name for p in (run / "figures").glob("exhibit-*")} == {
        "exhibit-shares-1.png",
        "exhibit-shares-2.png",
        "exhibit-shares.png",
    }
    assert "Plots: The curve, A line." in alternatives(seen)


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_an_exhibit_without_rows_and_plots_is_not_called_trusted(run: Path) -> None:
    empty = EXHIBIT | {"title": "Days", "rows": [], "plots": [], "notes": ["There is no history."], "status": "trusted"}
    section = page(build(exhibited(run, empty)).parent).words.split("Days", 1)[1]
    assert section.index("There is no history.") < (section + "Trusted").index("Trusted")


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_every_name_of_an_exhibit_is_shown_up_to_a_hundred(run: Path) -> None:
    rows = [[f"name-{k}", 0.1, 1.0 * k] for k in range(130)]
    words = page(
        build(exhibited(run, EXHIBIT | {"rows": rows, "columns": ["name", "std_error", "value"]})).parent
    ).words
    assert all(f"name-{k}0.1" in words for k in range(100))
    assert "name-1000.1" not in words
    assert "and 30 more in shares.csv" in words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../up"}, "[0].name: must be lower case letters, digits and underscores, got '../up'"),
        ({"name": "Up"}, "[0].name: must be lower case letters, digits and underscores, got 'Up'"),
        ({"status": "fine"}, "[0].status: must be one of trusted, caution, untrusted, bound_only, got 'fine'"),
        ({"rows": [["a", 1.0]]}, "[0].rows[0]: must be a list of 3 cells, got ['a', 1.0]"),
        ({"columns": []}, "[0].columns: must name at least one column"),
        (
            {"plots": [EXHIBIT["plots"][0] | {"labels": ["one"]}]},
            "[0].plots[0]: labels must have the length of y, 2, got 1",
        ),
        (
            {"plots": [EXHIBIT["plots"][0] | {"form": "pie"}]},
            "[0].plots[0].form: must be one of line, points, bars, curve, band, marks, got 'pie'",
        ),
    ],
)
def test_broken_exhibit_is_located(run: Path, changes: dict[str, Any], message: str) -> None:
    exhibited(run, EXHIBIT | changes)
    assert refused(run) == f"{run / 'exhibits.json'}.exhibits{message}"


# --- a trace that is broken --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "quantiles"}, ".plots[0].form: must be one of line, points, got 'quantiles'"),
        ({"low": [1.0]}, ".plots[0]: x, y, low and high must have the same length, got 3, 3, 1, 0"),
        ({"y": [1.0]}, ".plots[0]: x, y, low and high must have the same length, got 3, 1"),
    ],
)
def test_broken_trace_is_located(run: Path, changes: dict[str, Any], message: str) -> None:
    decided(run, {"plots": [TRACE["plots"][0] | changes]})
    assert refused(run) == f"{run / 'trace.json'}{message}"


@pytest.mark.parametrize(
    ("y", "low", "is_log"),
    [
        ([1.0, 2000.0], [], True),
        ([1.0, 2000.0], [0.0, -1.0], True),
        ([1.0, 900.0], [], False),
        ([-1.0, 2000.0], [], False),
        ([0.0, 2000.0], [], False),
        ([None, None], [], False),
    ],
)
def test_positive_numbers_over_decades_get_a_log_axis(run: Path, y: list[Any], low: list[float], is_log: bool) -> None:
    from raresim.report import style, trace

    plot = TRACE["plots"][0] | {"x": [0, 1], "y": y, "low": low, "high": [2.0 * (v or 0) for v in y] if low else []}
    known = read(decided(run, {"plots": [plot]}))
    panel = trace.panel(known.trace.plots[0], "")
    assert panel.is_log is is_log
    if is_log:
        assert panel.plot.y == pytest.approx((0.0, math.log10(2000.0)))
        assert -2 < panel.limits[0] < 0
    with style.applied():
        assert isinstance(trace.draw(known), style.Picture)


# ------------------------------------------------------------------ folders that cannot be reported on


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(run: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        build(run)
    assert not (run / "report.html").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["manifest.json", "result.json", "convergence.csv", "arrays.npz", "config.yaml", "resolved.yaml"]
)
def test_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    assert refused(run) == f"{run / name}: missing; the run folder is incomplete"


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_run_from_python_needs_no_yaml(run: Path) -> None:
    edit(run / "manifest.json", config_sha256=None)
    (run / "config.yaml").unlink()
    (run / "resolved.yaml").unlink()
    assert "config.yaml" not in page(build(run).parent).words


def test_no_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"{tmp_path / 'none'}: no such run folder"


def test_unfinished_run_is_refused(run: Path) -> None:
    edit(run / "manifest.json", status="running")
    assert "needs a finished run, got 'running'" in refused(run)


def test_other_schema_version_is_refused(run: Path) -> None:
    edit(run / "result.json", schema_version=2)
    assert "schema_version: this raresim reads version 1, got 2" in refused(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimates": []}, ".estimates: must hold at least one estimate"),
        ({"estimates": [3]}, ".estimates[0]: must be an object, got 3"),
        ({"estimates": [{"kind": "probability"}]}, ".estimates[0].label: missing"),
        ({"name": 5}, ".name: must be a text, got 5"),
        (
            {"verdict": {"status": "fine"}},
            ".verdict.status: must be one of trusted, caution, untrusted, bound_only, got 'fine'",
        ),
        ({"speedup_over_crude": "big"}, ".speedup_over_crude: must be a number or null, got 'big'"),
        ({"iterations": {}}, ".iterations: must be a list, got {}"),
        ({"description": {"inputs": [1]}}, ".description.inputs[0]: must be a text, got 1"),
    ],
)
def test_broken_result_is_located(run: Path, changes: dict[str, Any], message: str) -> None:
    edit(run / "result.json", **changes)
    assert refused(run) == f"{run / 'result.json'}{message}"


def test_invalid_json_is_located(run: Path) -> None:
    (run / "result.json").write_text("{")
    assert refused(run).startswith(f"{run / 'result.json'}: is not valid JSON")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": column 'estimate' is missing"),
        ("estimate,evaluations,value,std_error,lower\n", ": column 'upper' is missing"),
        (
            "estimate,evaluations,value,std_error,lower,upper\n0,1,2,3,4,x\n",
            ":2: must be one whole number and five numbers",
        ),
        (
            "estimate,evaluations,value,std_error,lower,upper\n0,1,2\n",
            ":2: must be one whole number and five numbers",
        ),
        (
            "estimate,evaluations,value,std_error,lower,upper\n7,1,2,3,4,5\n",
            ":2: estimate 7 is not in result.json, which has 1",
        ),
    ],
)
def test_broken_convergence_is_located(run: Path, content: str, message: str) -> None:
    (run / "convergence.csv").write_text(content)
    assert refused(run) == f"{run / 'convergence.csv'}{message}"


def test_broken_arrays_are_located(run: Path) -> None:
    path = run / "arrays.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(run).startswith(f"{path}: cannot be read as arrays")
    np.savez(path, loss=np.zeros(3))
    assert refused(run) == f"{path}: array 'log_weight' is missing"
    np.savez(path, loss=np.zeros(3), log_weight=np.zeros(2))
    assert refused(run) == f"{path}: 'loss' and 'log_weight' must have the same length"
    np.savez(path, loss=np.zeros((3, 1)), log_weight=np.zeros((3, 1)))
    assert refused(run) == f"{path}: array 'loss' must be one-dimensional and free of NaN"
    np.savez(path, loss=np.array([object()]), log_weight=np.zeros(1))
    assert refused(run).startswith(f"{path}: cannot be read as arrays")


def test_missing_numbers_do_not_stop_the_page(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    entry = result["estimates"][0]
    for key in ("threshold", "std_error", "relative_error", "reference", "confidence"):
        entry[key] = None
    entry["diagnostics"] = dict.fromkeys(entry["diagnostics"])
    entry["information"] = dict.fromkeys(entry["information"])
    entry["interval"] = [1e-7, None]
    edit(
        run / "result.json",
        estimates=[entry],
        speedup_over_crude=None,
        diagnostics={},
        iterations=[],
        seconds={},
    )
    np.savez(run / "arrays.npz", loss=np.zeros(0), log_weight=np.zeros(0))
    (run / "convergence.csv").write_text(PATH + "")
    words = page(build(run).parent).words
    assert "[1.000e-07, n/a]" in words
    assert not list((run / "figures").iterdir())


def awkward_weights(run: Path, rng: np.random.Generator) -> set[str]:
    """Draws outside the target's support, infinite losses, a path and levels without numbers."""
    loss = np.where(rng.random(1000) < 0.01, np.inf, rng.normal(5.0, 1.0, 1000))
    np.savez(run / "arrays.npz", loss=loss, log_weight=np.where(rng.random(1000) < 0.5, -np.inf, 0.1))
    (run / "convergence.csv").write_text(PATH + "0,1000,,,,\n0,2000,nan,inf,nan,nan\n")
    level = dict.fromkeys(COLUMNS) | {"start": 0, "iteration": 0, "evaluations": 0, "elites": 0, "note": ""}
    edit(run / "result.json", iterations=[level])
    return FIGURES - {"weights", "levels", "entropy"}


def huge_weights(run: Path, rng: np.random.Generator) -> set[str]:
    """Weights beyond what a double holds, a path of one point, one level."""
    np.savez(run / "arrays.npz", loss=rng.normal(5.0, 1.0, 1000), log_weight=rng.normal(0.0, 900.0, 1000))
    (run / "convergence.csv").write_text(PATH + "0,1000,1e-7,1e-8,1e-8,1e-6\n")
    edit(run / "result.json", iterations=levels(5.0)[:1])
    return FIGURES - {"entropy"}


def few_losses(run: Path, rng: np.random.Generator) -> set[str]:
    """Losses on a lattice, a path that begins at zero, levels without divergence."""
    loss = rng.integers(0, 9, 1000).astype(float)
    np.savez(run / "arrays.npz", loss=loss, log_weight=-loss)
    (run / "convergence.csv").write_text(PATH + "0,0,0,0,0,3e-3\n0,2000,0,0,0,1e-3\n0,4000,1e-5,0,1e-6,3e-5\n")
    edit(run / "result.json", iterations=[row | {"kl_optimal_proposal": None} for row in levels(5.0)])
    return FIGURES


def shortfall_alone(run: Path, rng: np.random.Generator) -> set[str]:
    """No threshold anywhere: the tail has to be found from the level; losses of either sign, large."""
    del rng
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    entry |= {
        "kind": "expected_shortfall",
        "threshold": None,
        "level": 0.999,
        "value": -3.3e6,
        "unit": "\u20ac\n\u4e2d",
    }
    (run / "convergence.csv").write_text(PATH + "0,10,-1e5,1,-2e5,1\n0,100,-1e4,1e-6,-2e4,2\n")
    edit(run / "result.json", estimates=[entry | {"interval": [-3.4e6, -3.2e6]}])
    return FIGURES


def many_and_tiny(run: Path, rng: np.random.Generator) -> set[str]:
    """More estimates than panels, a probability near the smallest double, more levels than a page."""
    del rng
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    tiny = {"value": 1e-300, "log_value": -690.8, "interval": [1e-301, 1e-299]}
    tiny |= {"diagnostics": {}, "information": budget(690.8, 2.0)}
    climb = [row | {"start": start} for start in range(12) for row in levels(5.0)]
    edit(run / "result.json", estimates=[entry] * 11 + [entry | tiny], iterations=climb)
    (run / "convergence.csv").write_text(PATH + "11,10,1e-300,1,1e-308,1e-290\n11,100,1e-300,1,1e-301,1e-299\n")
    return FIGURES


@pytest.mark.slow
def test_probability_below_the_smallest_double_is_written_out(run: Path) -> None:
    entry = json.loads((run / "result.json").read_text())["estimates"][0]
    entry |= {"value": 0.0, "log_value": -1017.23, "interval": [0.0, 0.0], "reference": None}
    entry["information"] = budget(1017.23, 1.5)
    edit(run / "result.json", estimates=[entry])
    words = page(build(run).parent).words
    assert "1.670e-442" in words
    assert "too small for a double" in words
    assert "1 in inf" not in words
    assert "1,467.55" in words
    assert "6.0e+441" in words
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES - {"convergence"}


@pytest.mark.slow
@pytest.mark.parametrize("change", [awkward_weights, huge_weights, few_losses, shortfall_alone, many_and_tiny])
def test_awkward_numbers_still_give_a_page(run: Path, change: Callable[..., set[str]]) -> None:
    figures = change(run, np.random.default_rng(3))
    assert page(build(run).parent).words
    assert {file.stem for file in (run / "figures").iterdir()} == figures


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (2.866515718791933e-07, "2.867e-07"),
        (0.0597, "0.0597"),
        (5.0, "5"),
        (0.0, "0"),
        (None, "n/a"),
        (math.nan, "n/a"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (12.3456, "12.35"),
        (-0.001234, "-0.001234"),
        (1234567.8, "1,234,568"),
        (0.00099996, "1.000e-03"),
        (3e12, "3.000e+12"),
        (1e-310, "1.000e-310"),
        (100, "100"),
    ],
)
def test_number(x: float | None, text: str) -> None:
    assert tables.number(x) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((2.81e-7, 2.92e-7), "[2.810e-07, 2.920e-07]"),
        ((0.0589, 0.06), "[0.05890, 0.06000]"),
        ((3.0900001, 3.0900022), "[3.0900001, 3.0900022]"),
        ((0.0, 3e-5), "[0, 3.000e-05]"),
        ((1.0, None), "[1, n/a]"),
        ((0.0, 0.0), "[0, 0]"),
        ((-1.5, 2.5), "[-1.500, 2.500]"),
    ],
)
def test_interval_tells_its_ends_apart(ends: tuple[float, float | None], text: str) -> None:
    assert tables.interval(*ends) == text


def test_value_has_the_digits_of_its_interval() -> None:
    assert tables.value(3.09000123, 3.0900001, 3.0900022) == "3.0900012"
    assert tables.value(2.8667e-7, 2.81e-7, 2.92e-7) == "2.867e-07"
    assert tables.value(1.5, None, 2.0) == "1.5"


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0098, "0.98 %"),
        (0.95, "95 %"),
        (0.975, "97.5 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
        (1.0, "100 %"),
        (0.12345, "12.3 %"),
        (0.0, "0 %"),
        (None, "n/a"),
    ],
)
def test_percent(x: float | None, text: str) -> None:
    assert tables.percent(x) == text


@pytest.mark.parametrize(
    ("log_x", "text"),
    [
        (math.log(2.867e-7), "2.867e-07"),
        (-1017.23, "1.670e-442"),
        (None, "n/a"),
        (-math.inf, "-inf"),
        (2000.0, "3.881e+868"),
        (-800 * math.log(10) - 1e-9, "1.000e-800"),
    ],
)
def test_number_of_log(log_x: float | None, text: str) -> None:
    assert tables.number_of_log(log_x) == text


def test_counts_factors_odds_bits_and_times() -> None:
    assert tables.count(1_000_000) == "1,000,000"
    assert tables.count(9000.4) == "9,000"
    assert tables.count(None) == "n/a"
    assert tables.count(1e15) == "1.000e+15"
    assert [tables.multiple(x) for x in (2.514, 347812.0, 12.0, 3e11, 0.0, None)] == [
        "2.51",
        "348,000",
        "12",
        "3.0e+11",
        "0",
        "n/a",
    ]
    assert tables.one_in(1.1e-4) == "1 in 9,090"
    assert tables.one_in(0.0) == "n/a"
    assert [tables.amount(x) for x in (0.0, -1e-17, 0.4, 21.7324, 1017.23, None)] == [
        "0.00",
        "0.00",
        "0.40",
        "21.73",
        "1,017.23",
        "n/a",
    ]
    assert tables.draws(4.249, 1.4467) == "4.25"
    assert tables.draws(None, 1017.23) == "6.0e+441"
    assert [tables.duration(s) for s in (0.42, 12.34, 200, 7500, None)] == [
        "0.42 s",
        "12.3 s",
        "3 min 20 s",
        "2 h 5 min",
        "n/a",
    ]


@pytest.mark.parametrize(
    ("low", "high", "plain", "labels"),
    [
        (2.7, 4.61, True, ["1,000", "2,000", "5,000", "10,000", "20,000"]),
        (0.0, 3.0, True, ["1", "10", "100", "1,000"]),
        (3.0, 8.0, True, ["1,000", "10,000", "100,000", "1,000,000", "10\u2077", "10\u2078"]),
        (-9.4, 0.3, False, ["10\u207b\u2078", "10\u207b\u2076", "10\u207b\u2074", "10\u207b\u00b2", "10\u2070"]),
        (
            -450.0,
            10.0,
            False,
            [
                "10\u207b\u2074\u2070\u2070",
                "10\u207b\u00b3\u2070\u2070",
                "10\u207b\u00b2\u2070\u2070",
                "10\u207b\u00b9\u2070\u2070",
                "10\u2070",
            ],
        ),
        (-1.2, 0.1, False, ["0.1", "0.2", "0.5", "1"]),
        (-7.5, -6.4, False, ["5\u00b710\u207b\u2078", "10\u207b\u2077", "2\u00b710\u207b\u2077"]),
        (-0.1, 0.2, False, ["0.8", "0.9", "1", "1.5"]),
    ],
)
def test_ticks_of_a_log_axis(low: float, high: float, plain: bool, labels: list[str]) -> None:
    from raresim.report import style

    with style.applied():
        axes = style.panel(style.canvas(3.0, "title"), 1, 1, 6, 2)
        style.decades(axes.xaxis, low, high, plain=plain)
        axes.set_xlim(low, high)
        assert [tick.get_text() for tick in axes.get_xticklabels()] == labels


def test_text_the_font_cannot_draw_becomes_a_question_mark() -> None:
    from raresim.report import style

    assert style.safe("loss\n\u4e2d \u20ac $x$") == "loss ? \u20ac $x$"


def test_numbers_are_ascii() -> None:
    texts = [
        tables.number(1e-9),
        tables.interval(1, 2),
        tables.percent(0.5),
        tables.count(5),
        tables.one_in(0.1),
    ]
    assert all(text.isascii() for text in texts)


@pytest.mark.parametrize(
    ("khat", "share", "passed", "title"),
    [
        (0.3, 0.01, ("khat", "max_share"), "No single draw dominates, and the tail of the weights is light"),
        (0.9, 0.03, ("khat", "max_share"), "No single draw dominates, and the error of the weights is known"),
        (0.9, 0.03, ("max_share",), "The weights have a heavy tail: the interval cannot be relied on"),
        (0.6, 0.03, (), "The tail of the weights is on the edge: read the interval as optimistic"),
        (0.3, 0.06, ("khat",), "One draw carries 6 % of the estimate: too much"),
        (0.3, 0.03, ("khat",), "One draw carries 3 % of the estimate: more than it should"),
        (None, 0.01, ("khat", "max_share"), "The weights of the hits; their tail index could not be computed"),
    ],
)
def test_the_title_of_the_weights_goes_by_the_checks(khat, share, passed, title) -> None:
    assert weights._finding(khat, share, ROWS["draw"], passed) == title


# --- words ---------------------------------------------------------------------------------------------


def test_18_15_a_single_panel_is_not_called_the_left_one(run: Path) -> None:
    whole = entropy.draw(read(run))
    assert isinstance(whole, style.Picture)
    assert whole.caption.startswith("Left: for each level")
    assert "Right: the same for the event" in whole.caption
    result = json.loads((run / "result.json").read_text())
    result["diagnostics"]["entropy"] = {}
    (run / "result.json").write_text(json.dumps(result))
    alone = entropy.draw(read(run))
    assert isinstance(alone, style.Picture)
    assert alone.caption.startswith("For each level")
    assert "eft" not in alone.caption.split()[0]
    assert "Right:" not in alone.caption


@pytest.mark.parametrize(
    ("unit", "words"), [("loss", ""), ("dimensionless", ""), ("", ""), ("USD m", " (USD m)"), ("EUR", " (EUR)")]
)
def test_18_15_the_unit_of_a_loss_is_not_loss(unit: str, words: str) -> None:
    assert tables.in_brackets(unit) == words


@pytest.mark.slow
def test_18_15_no_axis_is_called_loss_of_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = []
    keep = Axes.set_xlabel
    monkeypatch.setattr(Axes, "set_xlabel", lambda self, text, **k: (labels.append(text), keep(self, text, **k))[1])
    run = several(tmp_path / "run")
    for unit, label in (("USD m", "loss (USD m)"), ("loss", "loss")):
        result = json.loads((run / "result.json").read_text())
        result["estimates"][-1]["unit"] = unit
        (run / "result.json").write_text(json.dumps(result))
        labels.clear()
        losses.draw(read(run))
        assert label in labels
    build(run)
    assert not re.search(r"3\.0902? loss", page(run).words)
