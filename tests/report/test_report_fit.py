"""The report on the fit of the inputs: shown when there is evidence, safe, complete, and strict about the file."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.report import build, fit, glossary, grid, style
from raresim.report.evidence_tables import EVIDENCE_ERRORS, EVIDENCE_NATS, MOST_ROWS
from raresim.report.page import FIT_FIGURES
from raresim.report.run import read
from tests.report.test_report import HOSTILE, Page, bound_only, page, png_size, refused

FIGURES = {"convergence", "losses"}  # of a run without a hit, which has the fewest others
SECTION = "How well the inputs fit"
SHARES = (0.02, 0.05, 0.1, 0.2)

# ------------------------------------------------------------------ evidence by hand

TABLES = (
    EvidenceTable(
        "Margins: parameters by maximum likelihood",
        ("column", "law", "parameter", "value", "std error"),
        (("AAPL", "student_t", "dof", 3.21456, 0.123456), ("AAPL", "student_t", "loc", 0.0, None)),
    ),
    EvidenceTable(
        "Margins: candidates, best first by AIC",
        ("column", "law", "log likelihood", "AIC", "BIC"),
        (("AAPL", "student_t", 17345.125, -34684.25, -34664.26),),
    ),
    EvidenceTable(
        "Copula: fitted to the ranks",
        ("copula", "parameter", "value", "std error"),
        (("t", "dof", 5.5, 0.4), ("t", "log likelihood", 12345.678, None)),
    ),
    EvidenceTable(
        "Dependence of pairs",
        ("pair", "Kendall's tau", "lower tail dependence", "upper tail dependence"),
        (("AAPL - KO", 0.25, 0.125, 0.125),),
    ),
)


def quantiles(name: str = "AAPL", *, scale: float = 1.0, outliers: int = 0, n: int = 40) -> EvidencePlot:
    """Points on the identity line with the exact band of uniform order statistics, the largest of them moved out."""
    i = np.arange(1, n + 1)
    x = (i - 0.5) / n
    low, high = stats.beta.ppf([[0.025], [0.975]], i, n - i + 1)
    y = np.where(i > n - outliers, high + 0.1, x)
    numbers = [tuple((scale * values).tolist()) for values in (x, y, low, high)]
    return EvidencePlot("quantiles", f"{name}: observed against fitted quantiles", "fitted", "observed", *numbers)


def stability(name: str = "AAPL", *, drift: float = 0.0) -> EvidencePlot:
    y = [0.2 + drift * share for share in SHARES]
    low, high = tuple(v - 0.1 for v in y), tuple(v + 0.1 for v in y)
    return EvidencePlot("stability", f"{name}: lower tail", "share in the tail", "shape", SHARES, tuple(y), low, high)


def evidence(n_plots: int = 1) -> Evidence:
    plots = [make(f"C{i}") for make in (quantiles, stability) for i in range(n_plots)]
    return Evidence(TABLES, tuple(plots))


def give(run: Path, content: Evidence | dict[str, Any]) -> Path:
    """``run`` with the file that a run writes."""
    stored = asdict(content) if isinstance(content, Evidence) else content
    (run / "evidence.json").write_text(json.dumps(stored, allow_nan=False), encoding="utf-8")
    return run


def plot_entry(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(quantiles(n=3)))) | changes


def table_entry(**changes: Any) -> dict[str, Any]:
    return {"title": "T", "columns": ["a", "b"], "rows": [["x", 1.5]]} | changes


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder without evidence and without a report."""
    return bound_only(tmp_path_factory.mktemp("runs") / "bare")


@pytest.fixture
def run(bare: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bare, tmp_path / "run"))


def section(seen: Page) -> str:
    words = seen.words
    return words[words.index(SECTION) : words.index("Convergence and sampling")]


def captions(run: Path) -> str:
    return section(page(build(run).parent))


def drawn(run: Path) -> list[style.Picture]:
    """The figures of the section alone."""
    known = read(run)
    with style.applied():
        pictures = [fit.draw_quantiles(known), fit.draw_stability(known)]
    return [picture for picture in pictures if isinstance(picture, style.Picture)]


def finding(run: Path) -> str:
    (picture,) = drawn(run)
    return picture.title


# ------------------------------------------------------------------ with and without


@pytest.mark.usefixtures("unrendered")
def test_run_without_evidence_says_nothing_about_it(run: Path) -> None:
    seen = page(build(run).parent)
    assert SECTION not in seen.words
    assert "fit-quantiles" not in seen.words
    assert ("a", {"href": "#fit"}) not in seen.tags
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES
    assert read(run).evidence == Evidence()


@pytest.mark.slow
def test_empty_evidence_is_no_evidence(run: Path) -> None:
    before = build(run).read_bytes()
    assert build(give(run, Evidence())).read_bytes() == before
    assert build(give(run, {})).read_bytes() == before


def test_evidence_is_read_as_it_was_written(run: Path) -> None:
    assert read(give(run, evidence(2))).evidence == evidence(2)


def test_numbers_that_were_not_finite_are_nan_in_plots_and_empty_in_tables(run: Path) -> None:
    stored = {"plots": [plot_entry(low=[None, 0.1, 0.2])], "tables": [table_entry(rows=[["x", None], [None, 2]])]}
    known = read(give(run, stored)).evidence
    assert math.isnan(known.plots[0].low[0])
    assert known.plots[0].low[1:] == (0.1, 0.2)
    assert known.tables[0].rows == (("x", None), (None, 2.0))


@pytest.mark.usefixtures("unrendered")
def test_section_has_tables_figures_and_how_to_read_them(run: Path) -> None:
    seen = page(build(give(run, evidence())).parent)
    told = section(seen)
    assert ("a", {"href": "#fit"}) in seen.tags
    for table in TABLES:
        assert table.title in told
    assert "do not contain the uncertainty of the fit" in told
    assert "A good fit keeps the points on the dashed line" in told
    assert "leave the band at the ends" in told
    assert "the law of the tail is doubtful" in told
    assert "Where the tail law holds, the line is level" in told
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES | set(FIT_FIGURES)


@pytest.mark.usefixtures("unrendered")
def test_numbers_are_written_as_their_kind_needs(run: Path) -> None:
    html = build(give(run, evidence())).read_text(encoding="utf-8")
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert ["AAPL", "student_t", "dof", "3.215", "0.123"] in rows
    assert ["AAPL", "student_t", "loc", "0", ""] in rows
    assert ["AAPL", "student_t", "17,345.12", "-34,684.25", "-34,664.26"] in rows
    assert ["t", "log likelihood", "12,345.68", ""] in rows
    assert ["AAPL - KO", "0.25", "0.125", "0.125"] in rows
    kinds = re.findall(r'<td data-label="[^"]+" class="([^"]+)">(AAPL|student_t|dof|3.215|0.123)</td>', html)
    assert ("r num", "3.215") in kinds
    assert {kind for kind, text in kinds if text in ("AAPL", "student_t", "dof")} == {"text"}


@pytest.mark.parametrize(("n_rows", "more"), [(MOST_ROWS, ""), (MOST_ROWS + 1, "and 1 more"), (1300, "and 1,260 more")])
@pytest.mark.usefixtures("unrendered")
def test_long_tables_end_with_what_is_left(run: Path, n_rows: int, more: str) -> None:
    table = EvidenceTable("Long", ("column", "value"), tuple((f"row{i:04}", float(i)) for i in range(n_rows)))
    told = captions(give(run, Evidence((table,))))
    assert told.count("row0") == MOST_ROWS
    assert f"row{MOST_ROWS - 1:04}" in told
    assert ("more in evidence.json" in told) == bool(more)
    assert more in told


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_tables_alone_and_plots_alone_are_enough(run: Path) -> None:
    told = captions(give(run, Evidence(TABLES)))
    assert "Kendall's tau" in told
    assert "dashed line" not in told
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES
    told = captions(give(run, Evidence((), (stability(),))))
    assert "Threshold stability" in told
    assert "Kendall's tau" not in told
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES | {"fit-stability"}
    (run / "evidence.json").unlink()
    build(run)
    assert {file.stem for file in (run / "figures").iterdir()} == FIGURES


@pytest.mark.usefixtures("unrendered")
def test_every_head_links_to_a_word_of_the_glossary(run: Path) -> None:
    seen = page(build(give(run, evidence())).parent)
    html = (run / "report.html").read_text(encoding="utf-8")
    part = html[html.index('<h2 id="fit">') : html.index('<h2 id="convergence">')]
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', part)
    assert len(heads) == sum(len(table.columns) for table in TABLES)
    linked = [re.fullmatch(r'<a class="term" href="#(term-[a-z0-9-]+)">[^<]+</a>', head) for head in heads]
    assert all(linked)
    assert {link.group(1) for link in linked if link} <= {a.get("id") for _, a in seen.tags}
    assert {glossary.explain(title).name for title in FIT_FIGURES.values()} == {"quantile plot", "threshold stability"}
    for name in (*EVIDENCE_NATS, *EVIDENCE_ERRORS, *FIT_FIGURES):
        assert glossary.explain(name)


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_heads_mean_what_they_mean_for_a_fit(run: Path) -> None:
    html = build(give(run, evidence())).read_text(encoding="utf-8")
    part = html[html.index('<h2 id="fit">') : html.index('<h2 id="convergence">')]
    assert '<a class="term" href="#term-parameter">Value</a>' in part
    assert '<a class="term" href="#term-standard-error-of-a-parameter">Std error</a>' in part
    assert "#term-estimate" not in part


@pytest.mark.usefixtures("unrendered")
def test_unknown_columns_have_no_link(run: Path) -> None:
    html = build(give(run, {"tables": [table_entry(columns=["zzz", "yyy"])]})).read_text(encoding="utf-8")
    assert '<th scope="col">Zzz</th><th scope="col" class="r">Yyy</th>' in html


# ------------------------------------------------------------------ figures


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 12])
def test_figures_have_a_sane_size(run: Path, n: int) -> None:
    for picture in drawn(give(run, evidence(n))):
        (run / picture.name).write_bytes(picture.png)
        width, height = png_size(run / picture.name)
        assert 900 <= width <= 1100
        assert 250 <= height <= 1200


@pytest.mark.slow
def test_same_folder_gives_same_bytes(run: Path, tmp_path: Path) -> None:
    build(give(run, evidence(3)))
    copy = tmp_path / "elsewhere"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("figures", "report.html"))
    build(copy)
    for old in [run / "report.html", *sorted((run / "figures").iterdir())]:
        assert (copy / old.relative_to(run)).read_bytes() == old.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_at_most_twelve_panels_of_each_form(run: Path) -> None:
    for n, more in (
        (12, ""),
        (13, " 1 further plot is in evidence.json."),
        (14, " 2 further plots are in evidence.json."),
    ):
        for picture in drawn(give(run, evidence(n))):
            assert picture.caption.endswith(f"doubtful.{more}") or picture.caption.endswith(f"than the law.{more}")
            assert picture.alt.count("C") == 12


def test_points_outside_the_band_are_counted(run: Path) -> None:
    plots = (quantiles("GOOD"), quantiles("BAD", outliers=10))
    assert finding(give(run, Evidence((), plots))) == "87.5 % of the points lie in the band, fewest for BAD: 75 %"
    assert finding(give(run, Evidence((), plots[:1]))) == "All points lie in the band"
    assert finding(give(run, Evidence((), plots[1:]))) == "75 % of the points lie in the band"


def test_missing_end_of_a_band_excludes_nothing(run: Path) -> None:
    open_plot = plot_entry(y=[-9.0, 0.5, 0.8], low=[None] * 3)
    assert finding(give(run, {"plots": [open_plot]})) == "All points lie in the band"
    closed = open_plot | {"low": [-8.0, 0.0, 0.0]}
    assert finding(give(run, {"plots": [closed]})) == "66.7 % of the points lie in the band"


@pytest.mark.parametrize(
    ("drifts", "found"),
    [
        ((0.0,), "One shape fits every share of the sample"),
        ((5.0,), "No one shape fits every share of the sample"),
        ((0.0, 5.0, 0.1), "One shape fits every share of the sample in 2 of 3 tails"),
    ],
)
def test_drifting_shapes_are_found(run: Path, drifts: tuple[float, ...], found: str) -> None:
    plots = tuple(stability(f"C{i}", drift=drift) for i, drift in enumerate(drifts))
    assert finding(give(run, Evidence((), plots))) == found


AWKWARD: dict[str, Callable[[], dict[str, Any]]] = {
    "no points": lambda: plot_entry(x=[], y=[], low=[], high=[]),
    "one point": lambda: plot_entry(x=[0.1], y=[0.2], low=[0.0], high=[1.0]),
    "equal points": lambda: plot_entry(x=[3.0] * 3, y=[3.0] * 3, low=[3.0] * 3, high=[3.0] * 3),
    "all zero": lambda: plot_entry(x=[0] * 3, y=[0] * 3, low=[0] * 3, high=[0] * 3),
    "nothing finite": lambda: plot_entry(y=[None] * 3),
    "no band": lambda: plot_entry(low=[None] * 3, high=[None] * 3),
    "huge": lambda: plot_entry(x=[-1e308, 0, 1e308], y=[-1e308, 0, 1e308]),
    "large": lambda: plot_entry(x=[-1e99, 0, 1e99], y=[-1e99, 0, 1e99], low=[-1e100] * 3, high=[1e100] * 3),
    "smallest": lambda: plot_entry(x=[0, 5e-324, 1e-323], y=[0, 5e-324, 1e-323]),
    "far from zero": lambda: plot_entry(x=[1e15, 1e15 + 1, 1e15 + 2], y=[1e15, 1e15 + 1, 1e15 + 2]),
    "unsorted": lambda: plot_entry(x=[2.0, 0.0, 1.0], y=[2.0, 0.0, 1.0]),
    "wide band": lambda: plot_entry(low=[-1e90, 0, 0], high=[1e90, 1, 1]),
    "crossed band": lambda: plot_entry(low=[1, 1, 1], high=[0, 0, 0]),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["quantiles", "stability"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_numbers_still_give_a_figure(run: Path, name: str, form: str) -> None:
    awkward = AWKWARD[name]() | {"form": form}
    for plots in ([awkward], [awkward, plot_entry(form=form, x_label="other")]):
        (picture,) = drawn(give(run, {"plots": plots}))
        assert picture.name == f"fit-{form}"
        assert len(picture.png) > 5000


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([-0.1, 0.0, 0.1], ["-0.1", "0", "0.1"]),
        ([10000.0, 12500.0], ["10,000", "12,500"]),
        ([-2e8, 0.0], ["-2e+08", "0"]),
        ([5e5, 1e6], ["5e+05", "1e+06"]),
        ([1e15, 1e15 + 1], ["1000000000000000", "1000000000000001"]),
        ([1.00001, 1.00002], ["1.00001", "1.00002"]),
    ],
)
def test_tick_labels_differ(ticks: list[float], labels: list[str]) -> None:
    assert grid.tick_labels(ticks) == labels


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 4, 5, 12])
@pytest.mark.parametrize("scale", [1e-7, 0.03, 1e6])
@pytest.mark.parametrize("long", ["", "W" * 60], ids=["short", "long"])
def test_no_text_of_a_figure_lies_on_another(
    run: Path, n: int, scale: float, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What matplotlib says of the place of each text, for labels of every length."""
    figures: list[Figure] = []
    monkeypatch.setattr(style, "finish", lambda figure, *_: figures.append(figure))
    plots = [
        asdict(quantiles(f"C{i}{long}", scale=scale)) | ({"x_label": f"{i}{long}", "y_label": long} if long else {})
        for i in range(n)
    ]
    known = read(give(run, {"plots": plots}))
    with style.applied():
        fit.draw_quantiles(known)
        figures[0].draw_without_rendering()
        texts: list[Text] = [*figures[0].texts]
        for axes in figures[0].axes:
            low_x, high_x, low_y, high_y = (*axes.get_xlim(), *axes.get_ylim())
            texts += [*axes.get_xticklabels(), *axes.get_yticklabels()]
            assert all(low_x <= x <= high_x for x in axes.get_xticks())
            assert all(low_y <= y <= high_y for y in axes.get_yticks())
            texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) > 4 * n
    width, height = figures[0].bbox.size
    for i, a in enumerate(boxes):
        assert a.x0 > -2
        assert a.y0 > 0
        assert a.x1 < width + 8
        assert a.y1 <= height
        for b in boxes[:i]:
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            along = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(across, along) <= 1, (a, b)


@pytest.mark.parametrize(("end", "is_kept"), [(105_000.0, True), (100_100.0, False)])
def test_label_that_would_be_cut_at_the_right_edge_is_left_out(
    end: float, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The axis ends well beyond the tick at 100,000, or just beyond it."""
    figures: list[Figure] = []
    monkeypatch.setattr(style, "finish", lambda figure, *_: figures.append(figure))

    def content(axes: Axes, _: EvidencePlot, __: grid.Limits) -> None:
        axes.set_xlim(0.0, end)

    plot = EvidencePlot("curve", "curve", "x", "y", (0.0, 1.0), (0.0, 1.0), (), ())
    with style.applied():
        grid.draw("curve", [grid.Panel(plot, "curve", (0.0, 1.0), content)], "finding", "caption", "what", "file")
        figures[0].draw_without_rendering()
    (axes,) = figures[0].axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert ("100,000" in labels) == is_kept
    assert all(text.get_window_extent().x1 <= figures[0].bbox.width for text in axes.get_xticklabels())


def test_clipped_text_keeps_its_ends_and_its_width() -> None:
    text = "a rather long name: shape of the lower tail"
    short = style.clipped(text, 1.5, 8.0)
    assert short.startswith("a rather")
    assert "..." in short
    assert short.endswith("lower tail")
    assert 1.2 < style.width_of(short, 8.0) <= 1.5
    assert style.clipped("KO", 1.5, 8.0) == "KO"
    assert style.clipped("W" * 10**6, 1.0, 8.0).startswith("WW")
    assert style.clipped("\u4e2d\n$x$", 1.0, 8.0) == "? $x$"
    assert style.clipped("wide", 0.0, 8.0) == ""
    assert style.clipped("", 1.0, 8.0) == ""


# ------------------------------------------------------------------ hostile text


@pytest.mark.slow
def test_hostile_text_stays_text(run: Path) -> None:
    table = EvidenceTable(HOSTILE, (HOSTILE, "value"), ((HOSTILE, HOSTILE), (HOSTILE, 1.0)))
    texts = {"title": HOSTILE, "x_label": HOSTILE, "y_label": HOSTILE}
    plots = [asdict(make()) | texts for make in (quantiles, quantiles, stability)]
    html = build(give(run, {"tables": [asdict(table)], "plots": plots})).read_text(encoding="utf-8")
    seen = Page(html)
    assert "script" not in {tag for tag, _ in seen.tags}
    assert len([tag for tag, _ in seen.tags if tag == "img"]) == len(FIGURES) + 2
    assert seen.text.count("<script>alert('x')</script>") == 5
    assert not any("alert" in (v or "") for t, a in seen.tags for k, v in a.items() if k not in ("alt", "data-label"))
    assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
    assert "\u202e" not in html
    assert str(run) not in html


@pytest.mark.slow
def test_lone_surrogate_and_long_text_do_not_stop_the_page(run: Path) -> None:
    for text in ("\ud800", "x" * 20_000, "", "\n\t"):
        texts = {"title": text, "x_label": text, "y_label": text}
        stored = {"tables": [table_entry(title=text, rows=[[text, text]])], "plots": [plot_entry(**texts)]}
        assert SECTION in page(build(give(run, stored)).parent).words


# ------------------------------------------------------------------ broken evidence


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tables": 3}, ".tables: must be a list, got 3"),
        ({"plots": {}}, ".plots: must be a list, got {}"),
        ({"tables": ["x"]}, ".tables[0]: must be an object, got 'x'"),
        ({"tables": [table_entry(), table_entry(title=None)]}, ".tables[1].title: must be a text, got None"),
        ({"tables": [{"columns": ["a"], "rows": []}]}, ".tables[0].title: missing"),
        ({"tables": [table_entry(columns=[])]}, ".tables[0].columns: must name at least one column"),
        ({"tables": [table_entry(columns=["a", 1])]}, ".tables[0].columns[1]: must be a text, got 1"),
        ({"tables": [table_entry(rows="ab")]}, ".tables[0].rows: must be a list, got 'ab'"),
        ({"tables": [table_entry(rows=["ab"])]}, ".tables[0].rows[0]: must be a list of 2 cells, got 'ab'"),
        ({"tables": [table_entry(rows=[["x", 1], [1]])]}, ".tables[0].rows[1]: must be a list of 2 cells, got [1]"),
        (
            {"tables": [table_entry(rows=[["x", True]])]},
            ".tables[0].rows[0][1]: must be a text, a number or null, got True",
        ),
        (
            {"tables": [table_entry(rows=[["x", [1]]])]},
            ".tables[0].rows[0][1]: must be a text, a number or null, got [1]",
        ),
        (
            {"tables": [table_entry(rows=[["x", 10**400]])]},
            f".tables[0].rows[0][1]: must be a number that fits a double, got 1{'0' * 36}...",
        ),
        ({"plots": [7]}, ".plots[0]: must be an object, got 7"),
        ({"plots": [plot_entry(form="pie")]}, ".plots[0].form: must be one of quantiles, stability, got 'pie'"),
        ({"plots": [plot_entry(form=["quantiles"])]}, ".plots[0].form: must be a text, got ['quantiles']"),
        ({"plots": [plot_entry(x_label=5)]}, ".plots[0].x_label: must be a text, got 5"),
        ({"plots": [plot_entry(y=None)]}, ".plots[0].y: must be a list of numbers, got None"),
        ({"plots": [plot_entry(low=[0.1, "x", 0.2])]}, ".plots[0].low[1]: must be a number or null, got 'x'"),
        ({"plots": [plot_entry(high=[0.1, 0.2, False])]}, ".plots[0].high[2]: must be a number or null, got False"),
        (
            {"plots": [plot_entry(), plot_entry(y=[0.1, 0.2])]},
            ".plots[1]: x, y, low and high must have the same length, got 3, 2, 3, 3",
        ),
        ({"plots": [{k: v for k, v in plot_entry().items() if k != "high"}]}, ".plots[0].high: missing"),
        ({"plots": [{k: v for k, v in plot_entry().items() if k != "form"}]}, ".plots[0].form: missing"),
    ],
)
def test_broken_evidence_is_located(run: Path, content: dict[str, Any], message: str) -> None:
    give(run, content)
    assert refused(run) == f"{run / 'evidence.json'}{message}"


def test_evidence_that_is_no_json_object_is_named(run: Path) -> None:
    path = run / "evidence.json"
    path.write_text("{")
    assert refused(run).startswith(f"{path}: is not valid JSON")
    path.write_text("[]")
    assert refused(run) == f"{path}: must be an object, got []"
    path.unlink()
    path.mkdir()
    assert refused(run).startswith(f"{path}: missing")
