"""The order of the page, what its verdict is about, and how its tables and figures adapt."""

import re
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

import raresim
from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.records import Reference
from raresim.record.verdict import Check, Status, Verdict
from raresim.report import bars, evidence_tables, numbers, panels, style
from raresim.report.rows import distinct
from tests.report.test_report import Page


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    book = raresim.PythonLoss(function=lambda x: x * np.array([1.0, 2.0, 3.0]), parts=["a", "$b$", "100 % c"])
    level = {"level": 0.999}
    result = raresim.estimate(
        3,
        book,
        [
            raresim.Probability(above=12.0),
            raresim.Contributions(**level),
            raresim.Exceedance(),
            raresim.ValueAtRisk(**level),
        ],
        seed=1,
        relative_error=0.02,
    )
    return result.save(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def html(built):
    return (built / "report.html").read_text(encoding="utf-8")


def test_numbers_come_first_and_the_information_budget_after_the_results(html):
    heads = re.findall(r'<h2 id="([\w-]+)"', html)
    wanted = ["estimates", "exceedance", "partial_moments", "contributions", "information", "model", "convergence"]
    assert heads == [*wanted, "cost", "checks", "decisions", "iterations", "provenance", "glossary"]
    assert html.index('id="verdict"') < html.index('class="headline"') < html.index('<h2 id="estimates"')
    links = re.findall(r'<a href="#([\w-]+)">', html[html.index("<nav") : html.index("</nav>")])
    assert links == heads


def judged(estimate, *names):
    """Copies of ``estimate`` of which each has failed the check of its name; None: trusted."""
    copies = []
    for k, name in enumerate(names):
        status = Status.UNTRUSTED if name else Status.TRUSTED
        check = Check(name=name or "khat", value=None, status=status, message="")
        verdict = Verdict(status=status, scope="", hidden_mass_bound=None, checks=(check,), advice=())
        copies.append(replace(estimate, label=f"n{k}", asked=True, verdict=verdict))
    return copies


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((None,), ""),
        (("khat",), ""),
        ((None, None), "Both numbers that were asked for are trusted."),
        ((None, None, None), "All 3 numbers that were asked for are trusted."),
        ((None, "max_share", None), "2 of 3 numbers are trusted; n1 is not (max share)."),
        (("khat", "max_share", "khat"), "0 of 3 numbers are trusted; n0, n2 are not (khat); n1 is not (max share)."),
        (("khat",) * 7, "0 of 7 numbers are trusted; n0, n1, n2, n3 and 3 more are not (khat)."),
    ],
)
def test_the_verdict_says_what_it_is_about(built, names, sentence):
    assert numbers.standing_of(judged(raresim.read_run(built).estimates[0], *names)) == sentence


def test_numbers_that_were_added_do_not_count(built):
    estimates = [replace(e, asked=k == 0) for k, e in enumerate(raresim.read_run(built).estimates)]
    assert numbers.standing_of(estimates) == ""


def test_every_cell_of_a_card_says_what_it_is(html):
    cards = re.findall(r'<table class="cards[^"]*">(.*?)</table>', html, re.DOTALL)
    assert len(cards) >= 5
    for card in cards:
        assert not re.search(r"<td(?! data-label=\"[^\"]+\")", card)
    bodies = "".join(re.findall(r"<tbody>.*?</tbody>", "".join(cards), re.DOTALL))
    labels = {re.sub("<[^>]+>", "", label) for label in re.findall(r'data-label="([^"]+)"', bodies)}
    heads = {re.sub("<[^>]+>", "", head) for head in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', "".join(cards))}
    assert labels <= heads


def test_long_tables_of_a_curve_are_folded_and_those_of_names_are_not(html):
    assert re.search(r"<details><summary>\d+ rows</summary>", html)
    curve = html[html.index('<h2 id="exceedance"') : html.index('<h2 id="partial_moments"')]
    assert curve.count("<details>") == 1
    names = html[html.index('<h2 id="contributions"') : html.index('<h2 id="information"')]
    assert "<details>" not in names


def test_figures_are_drawings_without_text_of_their_own(html):
    seen = Page(html)
    drawings = [a["src"] for tag, a in seen.tags if tag == "img"]
    assert len(drawings) > 5
    for drawing in drawings:
        svg = unquote(drawing.removeprefix("data:image/svg+xml,"))
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "<!--" not in svg
        assert "metadata" not in svg
    assert 'src="data:image/svg+xml,%3Csvg' in html


def test_per_cent_signs_and_quotes_survive_the_address():
    svg = '<?xml version="1.0"?><svg a="50%" b="it\'s"><!-- gone --><path d="M 0.123456 1.5 "/></svg>'
    assert unquote(panels.address(svg).removeprefix("data:image/svg+xml,")) == (
        "<svg a='50%' b='it's'><path d='M 0.12 1.5 '/></svg>"
    )
    assert '"' not in panels.address(svg)


def test_there_are_colours_for_dark_rooms_and_cards_for_narrow_screens(html):
    sheet = re.search("<style>(.*?)</style>", html, re.DOTALL).group(1)
    light, dark = re.search(
        r":root \{(.*?)\}\n@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", sheet, re.DOTALL
    ).groups()
    own = set(re.findall(r"(--[\w-]+):", light))
    assert own == set(re.findall(r"(--[\w-]+):", dark))
    assert set(re.findall(r"var\((--[\w-]+)\)", sheet)) <= own
    assert not re.search(r"#[0-9a-f]{3,6}", re.sub(r":root \{.*?\}", "", sheet, flags=re.DOTALL))
    assert "content: attr(data-label)" in sheet


def test_a_number_that_was_asked_for_twice_is_shown_once(built):
    first, second = judged(raresim.read_run(built).estimates[0], None, None)
    again = replace(first, verdict=second.verdict)
    other = replace(again, value=2 * first.value)
    assert distinct([first, again, second, other, again]) == [first, second, other]
    assert numbers.standing_of(distinct([first, again])) == ""
    held = replace(again, reference=Reference(value=1.0, source="elsewhere"))
    assert distinct([first, held]) == [first, held]
    assert distinct([held, again]) == [held]


def test_a_column_without_values_is_left_out_of_the_page():
    rows = (("a", 1.0, None, ""), ("b", None, None, ""))
    exhibit = Exhibit("shares", "Shares", columns=("name", "share", "share_std_error", "how"), rows=rows)
    shown = evidence_tables.shown(exhibit, {})
    assert [head[0] for head in shown.table.heads] == ["Name", "Share"]
    assert [len(row) for row in shown.table.rows] == [2, 2]


@pytest.mark.parametrize(("largest", "moved"), [(1000.0, False), (2e6, True)])
def test_numbers_beside_an_axis_are_whole(largest, moved):
    with style.applied():
        axes = style.panel(style.canvas(3.0, "a figure"), 0.6, 0.5, 3.6, 2.7)
        axes.set_ylim(0.0, largest)
        style.linear(axes.yaxis)
        right = axes.get_position().x1
        style.make_room(axes)
        place = axes.get_position()
        assert place.x1 == pytest.approx(right)
        assert (place.x0 * style.WIDTH > 0.61) == moved
        assert place.x0 * style.WIDTH > style.width_of(f"{largest:,.0f}", 9.0)


@pytest.mark.parametrize(("high", "words"), [((1.0, 2.0), "Bars are the numbers."), ((1.5, 2.0), "lines their interv")])
def test_a_caption_speaks_of_lines_where_there_are_some(high, words):
    plot = EvidencePlot(
        "bars", "t", "", "shift", x=(0.0, 1.0), y=(1.0, 2.0), low=(1.0, 2.0), high=high, labels=("a", "b")
    )
    with style.applied():
        assert words in bars.draw(plot, "bars").caption
