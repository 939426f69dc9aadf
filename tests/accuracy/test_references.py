"""The references that the configs carry, computed again without raresim."""

from pathlib import Path

import pytest
from mpmath import mp, mpf
from ruamel.yaml import YAML

from tests.accuracy import references

CONFIGS = Path(__file__).parents[2] / "configs"


def stated(name):
    """Threshold and reference of a config."""
    (measure,) = YAML(typ="safe", pure=True).load(CONFIGS / f"{name}.yaml")["measures"]
    return measure["above"], measure["reference"]["value"]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(40):
        yield


@pytest.mark.parametrize("law", ["lognormal", "student_t", "gamma", "weibull", "generalised_pareto"])
def test_threshold_of_a_tail(law):
    threshold, reference = stated(f"tail-{law.replace('_', '-')}")
    assert reference == 1e-12
    assert threshold == pytest.approx(float(getattr(references, f"{law}_threshold")()), rel=1e-14)


@pytest.mark.slow
def test_threshold_of_the_normal_inverse_gaussian_tail():
    with mp.workdps(20):
        threshold, reference = stated("tail-normal-inverse-gaussian")
        assert float(references.nig_tail(mpf(threshold))) == pytest.approx(reference, rel=1e-12)


@pytest.mark.parametrize("joint", ["gaussian", "student_t", "clayton", "gumbel"])
def test_joint_exceedance(joint):
    _, reference = stated(f"joint-{'t' if joint == 'student_t' else joint}-copula")
    assert reference == pytest.approx(float(getattr(references, f"{joint}_joint")()), rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("sum-two-paretos", "pareto_sum"),
        ("sum-four-lognormals", "lognormal_sum"),
        ("method-asmussen-kroese", "lognormal_sum"),
    ],
)
def test_tail_of_a_sum(name, tail):
    threshold, reference = stated(name)
    assert float(getattr(references, tail)(threshold)) == pytest.approx(reference, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "dim"), [("method-line-sampling", 10), ("method-sobol", 10), ("method-improved-cross-entropy", 5)]
)
def test_tail_of_a_parabola(name, dim):
    threshold, reference = stated(name)
    assert reference == pytest.approx(float(references.parabola(threshold, dim)), rel=1e-14)


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("method-subset-simulation", lambda x: mp.gammainc(50, x / 2, mp.inf, regularized=True)),
        ("method-exponential-tilt", lambda x: mp.gammainc(10, x, mp.inf, regularized=True)),
        ("method-directional-sampling", lambda x: 1 - (1 - 2 * references.normal_tail(x)) ** 3),
        ("method-design-point", lambda x: 2 * references.normal_tail(x)),
        ("method-splitting", lambda x: references.normal_tail(mpf(x.removesuffix(" sigma")))),
        ("method-sequential-importance", lambda x: references.normal_tail(mpf(x.removesuffix(" sigma")))),
    ],
)
def test_tail_in_closed_form(name, tail):
    threshold, reference = stated(name)
    x = threshold if isinstance(threshold, str) else mpf(threshold)
    assert reference == pytest.approx(float(tail(x)), rel=1e-14)


def test_tail_of_the_cantilever():
    threshold, reference = stated("programs/cantilever")
    assert float(references.cantilever_tail(str(threshold))) == pytest.approx(reference, rel=1e-13)


def test_tail_of_the_cooling_loop():
    _, reference = stated("systems/cooling")
    assert float(references.cooling_tail()) == pytest.approx(reference, rel=1e-12)
