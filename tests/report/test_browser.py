"""The pages in Chromium: accessible, whole at two widths in light and dark, printable; the live page follows a run."""

import os
import shutil
import threading
import time

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
from raresim.shell.live import serving
from tests.run.test_clock import experiment, mean
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


def grave(page):
    """What axe finds on a page that is serious or worse."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    return [
        (each["id"], each["impact"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in axe.Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_is_accessible_and_whole(browser, folder, width, colours):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours, bypass_csp=True)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    assert page.evaluate(CUT, width < 1280) == []
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert page.evaluate(CUT, width < 1280) == []
    found = grave(page)
    context.close()
    assert found == []


def slowed(x):
    time.sleep(2e-5 * len(x))
    return mean(x)


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (400, "dark")])
def test_live_page_follows_a_run_and_stops_it(browser, seed, width, colours):
    """The page as it is served, with its policy: the numbers appear, the button ends the run, the end is told."""
    asked = experiment(seed(4331), relative_error=None, max_evaluations=100_000_000)
    object.__setattr__(asked.loss, "function", slowed)
    results = []

    def run(board):
        results.append(asked.run(report=board, live=board.live))
        board.finish(results[0])

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours)
    page, errors = context.new_page(), []
    page.on("console", lambda line: errors.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda request: errors.append(request.url) if server.url not in request.url else None)
    page.on("dialog", lambda dialog: dialog.accept())
    with serving("a name that is <b>long</b>", "crude", asked.seed, 0) as server:
        running = threading.Thread(target=run, args=(server.board,))
        running.start()
        try:
            page.goto(server.url)
            page.wait_for_selector("#rows td", timeout=60_000)
            assert page.text_content("#badge") == "Caution"
            assert page.text_content("#rows td") == "P(loss >= 1)"
            assert float(page.get_attribute("#bar", "value") or 0) < 0.5
            assert page.text_content("h1") == "a name that is <b>long</b>"
            assert page.evaluate(CUT, width < 1280) == []
            page.click("#stop")
            page.wait_for_selector("#stop:disabled")
        finally:
            server.board.live.stop()
            running.join(60)
        server.board.farewell = "Its report: somewhere"
    page.locator("#message", has_text="Its report: somewhere").wait_for()  # a function is refused by the policy
    assert page.text_content("#badge") == "Trusted"
    assert errors == []
    assert results[0].stopping["by_hand"] is True
    context.close()


def test_live_page_is_accessible(browser, seed):
    """Looked at by axe with its policy off, for axe is a script from elsewhere."""
    context = browser.new_context(viewport={"width": 400, "height": 900}, bypass_csp=True)
    page = context.new_page()
    with serving("book", "crude", 1, 0) as server:
        page.goto(server.url)
        assert grave(page) == []
        server.board.finish(experiment(seed(4332), relative_error=0.05).run())
        page.wait_for_selector("#rows td")
        assert grave(page) == []
    context.close()


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
