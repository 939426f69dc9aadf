"""The page in Chromium: accessible, whole at two widths in light and dark, and printable."""

import os
import shutil

import pytest

from raresim import (
    Contributions,
    Exceedance,
    ExpectedShortfall,
    Independent,
    Linear,
    Probability,
    Scenarios,
    ValueAtRisk,
    estimate,
)
from raresim.errors import ConfigError
from raresim.marginals import Normal
from raresim.report import pdf
from tests.shell.test_sweep import call

pytestmark = pytest.mark.slow

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

CUT = """
scrolls => [...document.querySelectorAll('body, body *')].filter(e => {
  const style = getComputedStyle(e), ancestors = []
  for (let a = e; a; a = a.parentElement) ancestors.push(a)
  return e.scrollWidth > e.clientWidth + 1 && style.display !== 'inline' && !e.closest('svg')
    && ancestors.every(a => a.clientWidth > 1) && !(scrolls && ['auto', 'scroll'].includes(style.overflowX))
}).map(e => `${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)
"""
"""Elements whose content is wider than they are. Those that can be scrolled count too unless ``scrolls``; what is one
pixel wide is for screen readers alone."""


@pytest.fixture(scope="module")
def chromium():
    """The path of Chromium: CI installs it, elsewhere it may be missing."""
    path = pdf.browser()
    if path is None:
        assert os.environ.get("CI") != "true", "CI must have Chromium: see .ci/run"
        pytest.skip("there is no Chromium on the path")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The run of a book with most of what a page can show."""
    names = ["equities of the euro area", "government bonds", "oil", "gold", "the dollar", "credit"]
    marginals = {name: Normal(mean=0.0, std=0.01 * (k + 1)) for k, name in enumerate(names)}
    measures = [
        Probability(above=0.3),
        ValueAtRisk(level=[0.99, 0.999]),
        ExpectedShortfall(level=0.99),
        Exceedance(from_tail=0.05, to_tail=1e-3),
        Contributions(level=0.99),
        Scenarios(level=0.99),
    ]
    options = {"method": "crude", "seed": 1, "relative_error": None, "max_evaluations": 20_000}
    result = estimate(Independent(marginals=marginals), Linear(weights=[1.0] * 6), measures, **options)
    return result.save(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_is_accessible_and_whole(browser, folder, width, colours):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours, bypass_csp=True)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    assert page.evaluate(CUT, width < 1280) == []
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert page.evaluate(CUT, width < 1280) == []
    found = axe.Axe().run(page).response["violations"]
    context.close()
    grave = [
        (each["id"], each["impact"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_axe_sees_what_is_wrong(browser, tmp_path):
    """The same look at a page without language, with grey text on grey, and with a table that is too wide."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = tmp_path / "bad.html"
    path.write_text(
        "<title>t</title><p style='color:#999;background:#aaa'>grey</p><img src='x.png'>"
        "<div style='width:200px;overflow:hidden'><div style='width:900px'>wide</div></div>"
    )
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate(CUT, False) == ["DIV.: 900 > 200"]
    found = {each["id"] for each in axe.Axe().run(page).response["violations"]}
    page.close()
    assert {"html-has-lang", "color-contrast", "image-alt"} <= found


def test_report_is_printed_with_its_verdict(chromium, folder, monkeypatch):
    monkeypatch.setattr("raresim.report.build", lambda run: run / "report.html")
    code, stdout, stderr = call("report", folder, "--pdf")
    assert code == 0, stderr
    assert stdout.splitlines()[-1] == str(folder / "report.pdf")
    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    pypdf = pytest.importorskip("pypdf")
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    text = " ".join(page.extract_text() for page in pages)
    assert len(pages) > 0
    assert any(word in text for word in ("Trusted", "Caution", "Untrusted"))


def test_without_chromium_the_error_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(
        ConfigError, match=r"report\.pdf: a PDF needs Chromium or Chrome, .* or print .*report\.html from any"
    ):
        pdf.write(folder / "report.html", folder / "report.pdf")
