"""Contracts that apply to what earlier ones leave of a claim: by hand, and by the laws of sum and largest claim."""

import math

import numpy as np
import pytest

from raresim import marginals
from raresim.config import load as configs
from raresim.errors import ConfigError, FieldError
from raresim.models import Compound, Contract, Line
from raresim.models.insurance.aggregate import tails_of
from raresim.models.insurance.occurrence import Occurrence
from raresim.models.insurance.per_claim import added_by
from tests.helpers import block, losses, normals
from tests.statistical import assert_within_error

QUOTA = Contract(name="quota", share=0.5, lines=["a"])
LAYER = Contract(name="xl", attachment=4.0, limit=3.0, share=0.8, net_of=["quota"])
TOP = Contract(name="top", attachment=5.0, net_of=["quota", "xl"])


def book(contracts, view, severity=None, mean=2.0):
    severity = severity or marginals.Exponential(scale=6.0)
    lines = [Line(name=n, frequency=marginals.Poisson(mu=mean), severity=severity) for n in ("a", "b")]
    return Compound(lines=lines, contracts=contracts, view=view)


def ceded(claim, quota):
    """What quota, layer and top take of claims, of which the quota share does not cover line b."""
    first = quota * claim
    second = 0.8 * np.clip(claim - first - 4.0, 0.0, 3.0)
    return first, second, np.maximum(claim - first - second - 5.0, 0.0)


@pytest.mark.parametrize(("claim", "quota", "layer"), [(12.0, 6.0, 1.6), (7.0, 3.5, 0.0), (30.0, 15.0, 2.4)])
def test_a_layer_after_a_quota_share_by_hand(claim, quota, layer):
    model = book([QUOTA, LAYER], "net")
    fixed = np.array([claim])
    assert QUOTA.share * model.loss.layer_of(0, 0, fixed)[0] == pytest.approx(quota)
    assert LAYER.share * model.loss.layer_of(1, 0, fixed)[0] == pytest.approx(layer)
    assert added_by(model.loss, 0)(fixed)[0] == pytest.approx(claim - quota - layer)
    assert LAYER.share * model.loss.layer_of(1, 1, fixed)[0] == pytest.approx(0.8 * min(max(claim - 4.0, 0.0), 3.0))


@pytest.mark.parametrize("view", ["ceded", "net"])
def test_what_a_claim_adds_is_linear_between_the_edges(view):
    model = book([QUOTA, LAYER, TOP], view)
    claim = np.linspace(0.0, 60.0, 601)
    for place, quota in ((0, 0.5), (1, 0.0)):
        expected = sum(ceded(claim, quota))
        added = added_by(model.loss, place)
        np.testing.assert_allclose(added(claim), expected if view == "ceded" else claim - expected, atol=1e-12)
        assert added.is_bounded == (view == "net")


@pytest.mark.statistical(effect=0.35, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("view", ["ceded", "net"])
def test_sums_and_largest_claims_have_their_laws(view, seed):
    model = book([QUOTA, LAYER, TOP], view)
    u = normals(40_000, model.inputs.latent_dim, seed(980))
    found = losses(model.loss, model.inputs.to_physical(u, block(40_000, model.inputs.dim)))
    for tail, x in zip(tails_of(model.loss, [4.0, 12.0, 18.0]), (4.0, 12.0, 18.0), strict=True):
        assert_within_error(np.mean(found >= x), tail.value, math.sqrt(tail.value * (1 - tail.value) / 40_000))
    rng = np.random.default_rng(seed(981))
    top = np.zeros(40_000)
    for quota in (0.5, 0.0):
        claims = rng.exponential(6.0, (40_000, 15))
        claims[np.arange(15) >= rng.poisson(2.0, 40_000)[:, None]] = 0.0
        taken = sum(ceded(claims, quota))
        top = np.maximum(top, (taken if view == "ceded" else claims - taken).max(axis=1))
    law = Occurrence.of(model.loss)
    for x in (1.0, 3.0, 4.5):
        p = float(law.exceeds(np.array([x]))[0])
        assert_within_error(np.mean(top > x), p, math.sqrt(p * (1 - p) / 40_000))


def test_an_infinite_mean_is_left_where_inuring_contracts_leave_a_share():
    heavy = marginals.Pareto(b=0.9)
    first, after = Contract(name="f", share=0.6), Contract(name="s", share=0.4, net_of=["f"])
    both = Contract(name="s", share=0.4)
    assert book([first, after], "net", heavy).loss.has_infinite_mean
    assert not book([first, both], "net", heavy).loss.has_infinite_mean
    assert not book([first, Contract(name="s", net_of=["f"])], "net", heavy).loss.has_infinite_mean


def test_contracts_that_cannot_inure_are_refused():
    with pytest.raises(FieldError, match=r"^contracts\[0\]\.net_of: .* earlier \(there is none"):
        book([LAYER, QUOTA], "net")
    with pytest.raises(FieldError, match=r"^contracts\[1\]\.net_of: .* earlier \(quota\), got 'quote'"):
        book([QUOTA, Contract(name="xl", net_of=["quote"])], "net")
    with pytest.raises(FieldError, match=r"^contracts\[1\]\.net_of: cannot name 'stop': its terms"):
        book([Contract(name="stop", aggregate_limit=9.0), Contract(name="xl", net_of=["stop"])], "net")
    over = [Contract(name="p"), Contract(name="q"), Contract(name="xl", attachment=1.0, net_of=["p", "q"])]
    assert added_by(book(over, "net").loss, 0) is None


def test_inuring_contracts_are_read_from_yaml(tmp_path):
    text = """
model:
  kind: compound
  lines: [{name: a, frequency: {kind: poisson, mu: 2}, severity: {kind: exponential, scale: 6}}]
  contracts:
    - {name: quota, share: 0.5}
    - {name: xl, attachment: 4, limit: 3, net_of: [quota]}
  view: net
measures: [{kind: probability, above: 40}]
seed: 1
"""
    (tmp_path / "a.yaml").write_text(text)
    experiment = configs.load(tmp_path / "a.yaml").experiment()
    assert "of claims net of quota" in " ".join(experiment.model.describe())
    (tmp_path / "b.yaml").write_text(text.replace("[quota]", "[xl]"))
    with pytest.raises(ConfigError, match=r"b\.yaml:\d+:\d+: model\.contracts\[1\]\.net_of: must name contracts"):
        configs.load(tmp_path / "b.yaml").outline()
