"""Statistical tests declare what they see: the declarations are complete, right, and small enough together."""

import ast
import math
import re
from functools import cache

import numpy as np
import pytest
from scipy import stats

from tests import statistical
from tests.conftest import COLLECTED, RATES
from tests.helpers import ROOT, python
from tests.statistical import WeakTestError, assert_count_at_least, declared

TESTS = ROOT / "tests"
ASSERTIONS = {name for name in vars(statistical) if name.startswith("assert_")}
BUDGET = 1e-3
"""How often a run of the whole suite with fresh seeds may fail where nothing is wrong."""

# --- who declares ------------------------------------------------------------------------------------


@cache
def functions_of(path):
    """Of a file: each function and method by name, with the names that it calls."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            called = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
            found[node.name] = node, {getattr(f, "id", getattr(f, "attr", None)) for f in called}
    return found


def statistical_names(path, known):
    """Names of the functions of a file that make a statistical assertion, themselves or through another."""
    functions, found = functions_of(path), set(known)
    while more := {name for name, (_, called) in functions.items() if called & found} - found:
        found |= more
    return found & set(functions)


def markers(node):
    return [d for d in node.decorator_list if ast.unparse(d).startswith("pytest.mark.statistical")]


FILES = [path for path in sorted(TESTS.rglob("test_*.py")) if path.name != "test_statistical_power.py"]
KNOWN = ASSERTIONS | statistical_names(TESTS / "helpers.py", ASSERTIONS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_the_tests_that_declare_are_those_that_assert_about_random_numbers(path):
    functions = functions_of(path)
    statistical_tests = {name for name in statistical_names(path, KNOWN) if name.startswith("test_")}
    assert statistical_tests == {name for name, (node, _) in functions.items() if markers(node)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_a_declaration_gives_effect_and_both_rates_as_numbers(path):
    for node, _ in functions_of(path).values():
        for marker in markers(node):
            given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in marker.keywords}
            assert not marker.args
            with declared(**given):
                pass


ERROR = re.compile(r"(^|_)(se|err|errs|error|errors)$")


def is_made_by_hand(node):
    """Whether an assertion about random numbers has a bound of its own: ``abs(a - b) < 5 * se``, or a p-value."""
    names = {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node)}
    if names & {"pvalue", "kstest", "ks_1samp", "ks_2samp", "cramervonmises", "anderson"}:
        return True
    compare = node.test
    if not isinstance(compare, ast.Compare) or not isinstance(compare.ops[-1], ast.Lt | ast.LtE):
        return False
    called = {getattr(n.func, "id", getattr(n.func, "attr", "")) for n in ast.walk(compare) if isinstance(n, ast.Call)}
    products = [n for n in ast.walk(compare.comparators[-1]) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult)]
    factors = [side for n in products for side in (n.left, n.right)]
    counted = any(isinstance(side, ast.Constant) for side in factors)
    errors = {getattr(n, "attr", getattr(n, "id", "")) for side in factors for n in ast.walk(side)}
    return "abs" in called and counted and any(ERROR.search(name) for name in errors)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_bound_on_random_numbers_is_made_by_hand(path):
    asserts = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Assert)]
    assert [ast.unparse(n) for n in asserts if is_made_by_hand(n)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert abs(x.mean() - 1) < 5 * se", True),
        ("assert np.abs(found - exact).max() <= 4.5 * estimate.std_error", True),
        ("assert stats.kstest(x, cdf).pvalue > 1e-6", True),
        ("assert abs(x - y) < 1e-9", False),
        ("assert abs(x - y) > 10 * se", False),
    ],
)
def test_a_bound_made_by_hand_is_recognised(text, expected):
    assert is_made_by_hand(ast.parse(text).body[0]) == expected


AGAIN = """
import sys
import pytest

class Rates:
    def pytest_collection_finish(self, session):
        from tests.conftest import RATES
        print("RATES", *session.config.stash[RATES])

sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[Rates()]))
"""


def rates_of_the_whole_suite(config):
    """Number and sum of the rates of false failures, from this run of pytest where it has collected every file."""
    if set(FILES) <= config.stash[COLLECTED]:
        return config.stash[RATES]
    (line,) = [line for line in python(AGAIN).splitlines() if line.startswith("RATES")]
    return int(line.split()[1]), float(line.split()[2])


def test_the_whole_suite_rarely_fails_where_nothing_is_wrong(pytestconfig):
    """Of every test with all its parameters, the slow ones included."""
    count, total = rates_of_the_whole_suite(pytestconfig)
    assert count > 900
    assert 0 < total < BUDGET


# --- what a declaration enforces ---------------------------------------------------------------------


def mean_of_known_error(rng, n, effect):
    statistical.assert_within_error(rng.normal(1 + effect, 0.5, n).mean(), 1.0, 0.5 / math.sqrt(n))


def mean_by_its_own_spread(rng, n, effect):
    statistical.assert_mean_is(rng.normal(1 + effect, 0.5, n), 1.0)


def spread(rng, n, effect):
    statistical.assert_spread_is(rng.normal(0, 1 + effect, n), 1.0)


def share(rng, n, effect):
    statistical.assert_count(rng.binomial(n, 0.2 * (1 + effect)), n, 0.2)


def coverage(rng, n, effect):
    statistical.assert_count_at_least(rng.binomial(n, 0.95 * (1 - effect)), n, 0.95)


def law(rng, n, effect):
    statistical.assert_law_is(rng.uniform(effect, 1 + effect, n), stats.uniform.cdf)


def divergence(rng, n, effect):
    found = rng.noncentral_chisquare(4, 2 * n * effect) / (2 * n)
    statistical.assert_divergence_is_chance(found, n, 4)


PATTERNS = [mean_of_known_error, mean_by_its_own_spread, spread, share, coverage, law, divergence]
EFFECT, FALSE_PASS = 0.2, 0.05


def is_enough(pattern, n, rng):
    """Whether the design admits ``n`` draws, nothing being wrong."""
    with declared(effect=EFFECT, false_fail=1e-6, false_pass=FALSE_PASS):
        try:
            pattern(rng, n, 0.0)
        except WeakTestError:
            return False
    return True


def needed(pattern, rng):
    """The fewest draws that a design admits, to a per cent."""
    few, many = 4, 8
    while not is_enough(pattern, many, rng):
        few, many = many, 2 * many
    while many - few > max(1, few // 100):
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(pattern, middle, rng) else (middle, many)
    return many


def passes(pattern, n, effect, rng):
    """Whether one test of ``n`` draws does not fail, whatever the design."""
    with declared(effect=1e9, false_fail=1e-3, false_pass=0.1):
        try:
            pattern(rng, n, effect)
        except AssertionError:
            return False
    return True


def test_the_mean_needs_the_draws_of_the_textbook(seed):
    """``n = ((z_fail + z_pass) sigma / effect)^2``."""
    z = stats.norm.isf([statistical.FALSE_FAIL / 2, FALSE_PASS]).sum()
    found = needed(mean_of_known_error, np.random.default_rng(seed(1301)))
    assert found == pytest.approx((z * 0.5 / EFFECT) ** 2, rel=0.02)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_fewest_draws_that_are_admitted_see_the_effect(pattern, seed):
    """As often as declared, of 800 wrong samples."""
    rng = np.random.default_rng(seed(1302))
    n = needed(pattern, rng)
    assert not is_enough(pattern, round(0.7 * n), rng)
    seen = sum(not passes(pattern, n, EFFECT, rng) for _ in range(800))
    assert_count_at_least(seen, 800, 1 - FALSE_PASS - 0.02)  # the error that the draws gave is not exact


@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.slow_cases("law")
def test_right_samples_fail_no_more_often_than_declared(pattern, seed, monkeypatch):
    """At a rate of 5 %, of 800 samples; and they do fail sometimes."""
    rng = np.random.default_rng(seed(1303))
    with monkeypatch.context() as patched:
        patched.setattr(statistical, "FALSE_FAIL", 0.05)
        # The budget of a design is for the usual rate.
        patched.setattr(statistical, "admit", lambda *_: None)
        passed = sum(passes(pattern, 200, 0.0, rng) for _ in range(800))
    assert_count_at_least(passed, 800, 0.95)
    assert passed < 800


def test_an_assertion_outside_a_declaration_is_refused(seed):
    with pytest.raises(WeakTestError, match="declares no effect"):
        mean_of_known_error(np.random.default_rng(seed(1304)), 10_000, 0.0)


def test_more_assertions_than_the_rate_allows_are_refused(seed):
    rng = np.random.default_rng(seed(1305))
    with declared(effect=0.2, false_fail=2e-7, false_pass=1e-3) as design:
        for _ in range(2):
            mean_of_known_error(rng, 10_000, 0.0)
        assert design.spent == pytest.approx(2e-7)
        with pytest.raises(WeakTestError, match="more assertions than a rate of false failures of 2e-07 allows"):
            mean_of_known_error(rng, 10_000, 0.0)


@pytest.mark.parametrize("wrong", [{"effect": 0.0}, {"false_fail": 0.05}, {"false_pass": 0.5}, {"false_fail": 0.0}])
def test_a_design_that_says_nothing_is_refused(wrong):
    design = {"effect": 0.1, "false_fail": 1e-6, "false_pass": 1e-3} | wrong
    with pytest.raises(ValueError, match="not a design of a test"), declared(**design):
        pass
