"""A result at a prompt, in a notebook, as a frame and on axes."""

import html
import math
import sys
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

import raresim

pandas = pytest.importorskip("pandas")

HOSTILE = "<script>alert('&')</script>" * 20


@pytest.fixture(scope="module")
def result():
    book = raresim.PythonLoss(function=lambda x: x * np.array([1.0, 2.0, 3.0]), parts=["a", "$b$", "c"])
    level = {"level": 0.999}
    return raresim.estimate(
        3,
        book,
        [
            raresim.Probability(above=12.0),
            raresim.ValueAtRisk(**level),
            raresim.ExpectedShortfall(**level),
            raresim.Exceedance(),
            raresim.Contributions(**level),
        ],
        seed=1,
        relative_error=0.02,
        name="book",
    )


@pytest.fixture(scope="module")
def axes():
    mpl.use("Agg")
    from matplotlib import pyplot

    yield pyplot.figure().add_subplot()
    pyplot.close("all")


def hostile(result, number):
    named = replace(result.estimates[0], label=HOSTILE)
    numbers = tuple(replace(named, value=named.value * (1 + k / number)) for k in range(number))
    return replace(result, name=HOSTILE, estimates=numbers)


def test_a_prompt_shows_the_numbers_in_a_dozen_lines(result):
    lines = repr(result).splitlines()
    assert lines[0] == f"book: {str(result.verdict.status).upper()} (auto, seed 1)"
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 100
    for estimate, line in zip(result.estimates, lines[1:], strict=False):
        assert line.split("  ")[1] == estimate.label
    assert f"{result.evaluations['total']:,} evaluations" in lines[-1]
    assert str(result) == repr(result)


def test_a_verdict_and_a_number_are_a_few_lines(result):
    number, check = result.estimates[0], result.verdict.checks[0]
    assert str(number) == (
        f"{number.label}: {number.value:.6g}, 95% [{number.lower:.6g}, {number.upper:.6g}], {number.verdict.status}"
    )
    n = len(result.verdict.checks)
    assert str(result.verdict).splitlines() == [
        f"TRUSTED, {n} of {n} checks passed",
        f"  Scope: {result.verdict.scope}",
    ]
    bad = replace(check, status=raresim.record.verdict.Status.UNTRUSTED)
    verdict = replace(result.verdict, status=bad.status, checks=(bad, *result.verdict.checks[1:]), advice=("ask more",))
    first, reason, advice, _ = str(verdict).splitlines()
    assert first == f"UNTRUSTED, {n - 1} of {n} checks passed"
    assert (reason, advice) == (f"  {check.name}: {check.message}", "  -> ask more")


def test_data_in_place_of_a_law_are_to_be_fitted(tmp_path):
    source = raresim.ReturnsSource(prices=tmp_path / "prices.csv", returns="log")
    with pytest.raises(raresim.FieldError, match=r"got a ReturnsSource; fit a law to it, such as raresim\.Normal\.fit"):
        raresim.estimate(source, sum, raresim.Probability(above=1.0), seed=1)


def test_a_prompt_shows_some_of_many_numbers_and_checks(result):
    check = replace(result.verdict.checks[0], status=raresim.record.verdict.Status.UNTRUSTED, message="why " * 100)
    verdict = replace(result.verdict, checks=(check,) * 9)
    lines = repr(replace(hostile(result, 500), verdict=verdict)).splitlines()
    assert len(lines) <= 14
    assert "  and 492 more in to_frame()" in lines
    assert "  and 7 more in .verdict.checks" in lines
    assert max(map(len, lines)) <= 170


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_a_table_without_markup_of_the_users(result):
    page = hostile(result, 500)._repr_html_()
    assert len(page) < 8_000
    seen = Tags()
    seen.feed(page)
    assert seen.tags == {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert any(text.startswith(HOSTILE[:40]) for text in seen.texts)
    assert html.escape(HOSTILE[:40]) in page


def test_bounds_and_tiny_numbers_are_shown(result):
    first = result.estimates[0]
    tiny = replace(first, value=0.0, log_value=-2000.0)
    assert "e-869" in repr(replace(result, estimates=(tiny,)))
    bound = raresim.estimate(
        2, lambda x: x[:, 0], raresim.Probability(above=30.0), method="crude", seed=1, max_evaluations=1000
    )
    assert "<= " in repr(bound)
    assert "BOUND ONLY" in repr(bound)


def test_a_frame_has_a_row_for_each_number(result):
    frame = result.to_frame()
    assert list(frame["label"]) == [e.label for e in result.estimates]
    np.testing.assert_array_equal(frame["value"], [e.value for e in result.estimates])
    np.testing.assert_array_equal(frame["upper"], [e.upper for e in result.estimates])
    assert set(frame["verdict"]) <= {"trusted", "caution", "untrusted", "bound_only"}
    assert frame["asked"].dtype == bool
    assert frame["reference"].isna().all()


def test_the_library_of_frames_is_chosen_and_missed(result, monkeypatch):
    assert type(result.to_frame("pandas")).__module__.startswith("pandas")
    with pytest.raises(raresim.FieldError, match="library: unknown value 'numpy'"):
        result.to_frame("numpy")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(raresim.FieldError, match="library: polars is not installed"):
        result.to_frame("polars")
    monkeypatch.delitem(sys.modules, "pandas")
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(raresim.FieldError, match="needs pandas or polars"):
        result.to_frame()


def test_exhibits_by_name(result):
    frame = result.exhibit("contributions").to_frame()
    assert {"a", "$b$", "c"} <= set(frame["name"])
    assert list(frame.columns) == list(result.exhibit("contributions").columns)
    with pytest.raises(raresim.FieldError, match="did you mean 'contributions'"):
        result.exhibit("contribution")


@pytest.mark.parametrize("name", ["convergence", "curve", "contributions", "weights"])
def test_plots_take_and_return_axes(result, name, axes):
    axes.clear()
    assert getattr(result.plot, name)(axes) is axes
    assert axes.get_title(loc="left")
    assert axes.get_xlabel()
    axes.figure.canvas.draw()
    made = getattr(result.plot, name)()
    assert made.figure is not axes.figure
    made.figure.canvas.draw()


def test_the_user_style_outlives_a_plot(result, axes):
    with mpl.rc_context({"axes.titlesize": 31.0}):
        result.plot.weights(axes)
        assert mpl.rcParams["axes.titlesize"] == 31.0


def test_the_path_ends_at_the_estimate(result, axes):
    axes.clear()
    result.plot.convergence(axes, number=1)
    line = next(line for line in axes.get_lines() if line.get_label() == "estimate")
    assert line.get_ydata()[-1] == pytest.approx(result.estimates[1].value, rel=1e-2)


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda p: p.curve(), "no curve: ask for one with Exceedance"),
        (lambda p: p.contributions(), "no contributions: ask for them"),
        (lambda p: p.convergence(number=7), "number: must be below 1"),
        (lambda p: p.weights(), "no different weights"),
    ],
)
def test_what_a_run_does_not_have_is_said(plot, message):
    crude = raresim.estimate(
        1, lambda x: x[:, 0], raresim.Probability(above=1.0), method="crude", seed=1, max_evaluations=2000
    )
    with pytest.raises(raresim.FieldError, match=message):
        plot(crude.plot)


def test_results_and_folders_are_compared(result, tmp_path):
    wanted = {"measures": raresim.Probability(above=3.0), "seed": 1, "max_evaluations": 20_000}
    tuned = raresim.estimate(2, first, **wanted)
    crude = raresim.estimate(2, first, **wanted, method="crude")
    folder = crude.save(tmp_path / "crude")
    compared = raresim.compare([tuned, folder])
    assert [row.run for row in compared.rows] == ["auto", "crude"]
    frame = compared.to_frame()
    np.testing.assert_array_equal(frame["value"], [tuned.estimates[0].value, crude.estimates[0].value])
    assert "auto" in repr(compared)
    assert len(repr(compared).splitlines()) == 2 + len(compared.notes)
    assert [row.run for row in raresim.compare([tuned, tuned]).rows] == ["run 1", "run 2"]
    assert math.isclose(raresim.compare([tuned], names=["mine"]).rows[0].value, tuned.estimates[0].value)
    with pytest.raises(raresim.FieldError, match="2 different names"):
        raresim.compare([tuned, crude], names=["a", "a"])
    with pytest.raises(raresim.FieldError, match="at least one result"):
        raresim.compare([])
    with pytest.raises(raresim.ConfigError, match=r"has 6 measures and run has 1; .* alone has P\("):
        raresim.compare([tuned, result])


def first(x):
    return x[:, 0]
