"""Derivatives and what-ifs of weighted tail rows, against closed forms."""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from raresim import FactorModel, Garch, Independent, Normal, ReturnsTable, StudentT
from raresim.errors import FieldError
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.exponential import Exponential
from raresim.measures.sensitivities import Sensitivities
from raresim.measures.tail_rate import NoRateError, TailRate
from raresim.measures.tail_reading import Reading
from raresim.measures.tail_sample import TailSample
from raresim.measures.what_if import WhatIf, reweighted
from raresim.record.verdict import Status
from tests.statistical import assert_count_at_least, assert_spread_is, assert_within_error
from tests.tail_samples import Portfolio, answered, estimate_of, rows_of, table

P, V, E = "probability", "value_at_risk", "expected_shortfall"


def slope(function, at, h=1e-4):
    return (function(at + h) - function(at - h)) / (2 * h)


def t_shortfall(dof, tail):
    q = stats.t.isf(tail, dof)
    return stats.t.pdf(q, dof) / tail * (dof + q * q) / (dof - 1)


@dataclass(frozen=True, eq=False)
class Case:
    """Inputs, loss and proposal, three numbers and the exact derivatives of them."""

    inputs: object
    loss: object
    proposal: object
    floor: float
    estimates: tuple
    values: dict
    derivatives: dict = field(default_factory=dict)

    def sample(self, n, seed):
        return rows_of(self.inputs, self.loss, n, seed, self.floor, self.proposal)

    def shown(self, measure, n, seed):
        (exhibit,) = measure.exhibits(answered(self.sample(n, seed), self.inputs, self.loss, *self.estimates))
        return exhibit


W, MU, SD = np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.0, -0.2]), np.array([1.0, 0.5, 2.0])
COV = np.outer(SD, SD) * np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.4], [-0.2, 0.4, 1.0]])
MEAN, STD = float(W @ MU), math.sqrt(W @ COV @ W)
BY_CORRELATION = float(W @ (np.outer(SD, SD) * (1 - np.eye(3))) @ W) / (2 * STD)
TAIL = 1e-3


def linear(x):
    return x @ W


def asked(threshold, var, tail):
    return estimate_of(threshold), estimate_of(var, tail), estimate_of(var, tail, shortfall=True)


def elliptical(law, shortfall, inputs, proposal, shift, scale):
    """A linear portfolio whose loss is ``MEAN + STD`` times a variable of the standard law ``law``."""
    z, t = law.isf(TAIL), 1.3 * law.isf(TAIL)
    density = law.pdf(t) / STD
    exact = {(P, "threshold"): -density, (V, "tail"): -STD / law.pdf(z), (E, "tail"): STD * (z - shortfall) / TAIL}
    for name, by, per_unit in (
        *((f"{shift}.x{k}", W[k - 1], 0.0) for k in (1, 2, 3)),
        (scale, 0.0, STD),
        ("correlation", 0.0, BY_CORRELATION),
    ):
        exact |= {(P, name): density * (by + per_unit * t), (V, name): by + per_unit * z}
        exact[E, name] = by + per_unit * shortfall
    values = {P: law.sf(t), V: MEAN + z * STD, E: MEAN + shortfall * STD}
    floor = MEAN + STD * law.isf(5 * TAIL)
    return Case(inputs, linear, proposal, floor, asked(MEAN + t * STD, values[V], TAIL), values, exact)


def normal_case():
    z = stats.norm.isf(TAIL)
    proposal = Normal(mean=MU + COV @ W / STD * 3.4, cov=1.2 * COV)
    return elliptical(stats.norm, stats.norm.pdf(z) / TAIL, Normal(mean=MU, cov=COV), proposal, "mean", "std")


def t_case():
    z = stats.t.isf(TAIL, 4)
    proposal = StudentT(dof=3.0, loc=MU + COV @ W / STD * z, shape=6 * COV)
    inputs = StudentT(dof=4.0, loc=MU, shape=COV)
    case = elliptical(stats.t(4), t_shortfall(4, TAIL), inputs, proposal, "loc", "scale")
    case.derivatives.update(
        {
            (P, "dof"): slope(lambda dof: stats.t.sf(1.3 * z, dof), 4),
            (V, "dof"): STD * slope(lambda dof: stats.t.isf(TAIL, dof), 4),
            (E, "dof"): STD * slope(lambda dof: t_shortfall(dof, TAIL), 4),
        }
    )
    return case


def exponential_case():
    """The sum of four has a gamma law, which scales with theirs."""
    law, tail = stats.gamma(4, scale=2.0), 1e-4
    v, t = law.isf(tail), law.isf(1e-5)
    shortfall = 8.0 * stats.gamma.sf(v, 5, scale=2.0) / tail
    exact = {(P, "scale"): law.pdf(t) * t / 2, (V, "scale"): v / 2, (E, "scale"): shortfall / 2}
    exact |= {(P, "threshold"): -law.pdf(t), (V, "tail"): -1 / law.pdf(v), (E, "tail"): (v - shortfall) / tail}
    inputs, proposal = (Independent(marginal=Exponential(scale=s), dim=4) for s in (2.0, 7.5))
    values = {P: 1e-5, V: v, E: shortfall}
    return Case(inputs, lambda x: x.sum(axis=1), proposal, law.isf(5e-4), asked(t, v, tail), values, exact)


EXPOSURE, DEFAULTS = np.array([3.0, 2.0, 1.0, 2.5, 4.0, 1.5]), np.array([0.01, 0.02, 0.05, 0.03, 0.01, 0.04])


def credit_case():
    """Six loans, all of their 64 outcomes."""
    outcomes = np.array(list(itertools.product([0, 1], repeat=6)))
    losses, tail, t = outcomes @ EXPOSURE, 0.01, 6.5

    def masses(p):
        return np.prod(np.where(outcomes == 1, p, 1 - p), axis=1)

    v = min(x for x in losses if masses(DEFAULTS)[losses > x].sum() <= tail)

    def shortfall(p):
        return v + masses(p) @ np.maximum(losses - v, 0) / tail

    exact = {}
    for k, one in enumerate(np.eye(6), start=1):
        exact[P, f"x{k}.p"] = slope(lambda h, one=one: masses(DEFAULTS + h * one)[losses >= t].sum(), 0.0)
        exact[E, f"x{k}.p"] = slope(lambda h, one=one: shortfall(DEFAULTS + h * one), 0.0)
    inputs = Independent(marginals=[Bernoulli(p=p) for p in DEFAULTS])
    proposal = Independent(marginals=[Bernoulli(p=0.3) for _ in DEFAULTS])
    values = {P: masses(DEFAULTS)[losses >= t].sum(), V: v, E: shortfall(DEFAULTS)}
    return Case(inputs, lambda x: x @ EXPOSURE, proposal, 3.0, asked(t, v, tail), values, exact)


CASES = {"normal": normal_case(), "t": t_case(), "exponential": exponential_case(), "credit": credit_case()}


# ------------------------------------------------------------------ derivatives


@pytest.mark.statistical(effect=0.3, false_fail=1e-5, false_pass=1e-3)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_derivatives_are_exact_within_their_errors(case, seed):
    rows = table(case.shown(Sensitivities(), 50_000, seed(1)))
    assert {(row["quantity"], row["parameter"]) for row in rows} == set(case.derivatives)
    exact = np.array([case.derivatives[row["quantity"], row["parameter"]] for row in rows])
    found, errors = (np.array([row[key] for row in rows]) for key in ("derivative", "std_error"))
    # The density at a value at risk is allowed the bias of its window: 0.5 %.
    errors = np.hypot(errors, 0.005 * np.abs(exact))
    assert_within_error(found, exact, errors)


@pytest.mark.statistical(effect=0.3, false_fail=1e-5, false_pass=1e-3)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_elasticities_are_exact_within_their_errors(case, seed):
    rows = [row for row in table(case.shown(Sensitivities(), 100_000, seed(2))) if row["elasticity"] is not None]
    assert len(rows) >= 6
    exact = np.array(
        [
            row["value"] * case.derivatives[row["quantity"], row["parameter"]] / case.values[row["quantity"]]
            if row["value"] is not None
            else case.derivatives[row["quantity"], row["parameter"]] / case.values[row["quantity"]]
            for row in rows
        ]
    )
    found, errors = (np.array([row[key] for row in rows]) for key in ("elasticity", "elasticity_error"))
    assert_within_error(found, exact, np.hypot(errors, 0.005 * np.abs(exact)))


@pytest.mark.slow
@pytest.mark.statistical(effect=0.3, false_fail=1e-5, false_pass=0.01)
@pytest.mark.parametrize("name", [name for name in CASES if name != "normal"])
def test_intervals_of_derivatives_cover_and_errors_are_the_spread(name, seed):
    """The t law takes the way of the normal one, and has a parameter more."""
    repeats, case = 400, CASES[name]
    runs = [table(case.shown(Sensitivities(), 6_000, seed(100 + k))) for k in range(repeats)]
    for at, row in enumerate(runs[0]):
        exact = case.derivatives[row["quantity"], row["parameter"]]
        own = [run[at] for run in runs]
        assert_count_at_least(sum(each["lower"] <= exact <= each["upper"] for each in own), repeats, 0.93)
        errors = np.array([each["std_error"] for each in own])
        assert_spread_is([each["derivative"] for each in own], math.sqrt(np.mean(errors**2)))


def test_a_change_is_its_unit_times_the_derivative():
    case = CASES["normal"]
    rows = {(r["quantity"], r["parameter"]): r for r in table(case.shown(Sensitivities(per=0.1), 5_000, 1))}
    mean, std, tail = rows[V, "mean.x1"], rows[V, "std"], rows[V, "tail"]
    assert (mean["change_by"], std["change_by"]) == ("+ 0.1", "x 1.1")
    assert mean["change"] == pytest.approx(0.1 * mean["derivative"])
    assert std["value"] is None
    assert std["change"] == pytest.approx(0.1 * std["derivative"])
    assert tail["change"] == pytest.approx(0.1 * TAIL * tail["derivative"])
    narrow = {(r["quantity"], r["parameter"]): r for r in table(case.shown(Sensitivities(confidence=0.5), 5_000, 1))}
    ratio = (std["upper"] - std["lower"]) / (narrow[V, "std"]["upper"] - narrow[V, "std"]["lower"])
    assert ratio == pytest.approx(stats.norm.isf(0.025) / stats.norm.isf(0.25))


def test_named_parameters_alone_are_shown():
    rows = table(CASES["normal"].shown(Sensitivities(parameters=["volatility", "mean"]), 5_000, 1))
    assert {row["parameter"] for row in rows} == {"volatility", "mean", "threshold", "tail"}
    both = {r["parameter"]: r["derivative"] for r in rows if r["quantity"] == E}
    each = {
        r["parameter"]: r["derivative"]
        for r in table(CASES["normal"].shown(Sensitivities(), 5_000, 1))
        if r["quantity"] == E
    }
    assert both["mean"] == pytest.approx(sum(each[f"mean.x{k}"] for k in (1, 2, 3)), rel=1e-5)
    assert both["volatility"] == pytest.approx(each["std"], rel=1e-9)


def test_plots_show_each_number_with_its_intervals():
    exhibit = CASES["normal"].shown(Sensitivities(), 5_000, 1)
    rows = [row for row in table(exhibit) if row["quantity"] == P]
    plot = exhibit.plots[0]
    assert len(exhibit.plots) == 3
    assert plot.y == tuple(row["change"] for row in rows)
    assert plot.labels[-3:] == ("std x 1.01", "correlation + 0.01", "threshold + 0.01")
    assert all(low < y < high for low, y, high in zip(plot.low, plot.y, plot.high, strict=True))


def test_many_parameters_are_shown_together():
    inputs = Independent(marginals=[Bernoulli(p=0.01 + 0.001 * k) for k in range(45)])
    sample = rows_of(inputs, lambda x: x.sum(axis=1), 2_000, 1, 1.0)
    (exhibit,) = Sensitivities().exhibits(answered(sample, inputs, None, estimate_of(2.0)))
    assert [row["parameter"] for row in table(exhibit)] == ["p"]


def test_what_cannot_be_given_is_said():
    notes = " ".join(CASES["credit"].shown(Sensitivities(), 20_000, 1).notes)
    assert "probability 6.5: not available for threshold: the loss moves in steps around 6.5." in notes
    assert "value_at_risk 0.01: not available for x1.p, x2.p" in notes
    assert "the loss is a step at 4." in notes
    notes = " ".join(CASES["exponential"].shown(Sensitivities(), 5_000, 1).notes)
    assert "loc: not available: a factor could then lie from -0.0001 to inf" in notes
    exhibit = CASES["normal"].shown(Sensitivities(parameters=["stdd"]), 5_000, 1)
    assert "not available: parameters: unknown parameter 'stdd'; did you mean 'std'?" in " ".join(exhibit.notes)
    assert {row["parameter"] for row in table(exhibit)} == {"threshold", "tail"}


def test_a_step_that_the_rows_do_not_place_has_no_derivative():
    case = CASES["credit"]
    sample = case.sample(20_000, 1)
    tail = sample.mean((sample.loss > 4.0).astype(float)) * (1 + 1e-6)
    (exhibit,) = Sensitivities().exhibits(
        answered(sample, case.inputs, case.loss, estimate_of(4.0, tail, shortfall=True))
    )
    assert not exhibit.rows
    assert "may be 4 or the next step of the loss" in " ".join(exhibit.notes)


@pytest.mark.slow
def test_inputs_without_a_density_leave_the_thresholds():
    returns = 0.01 * np.random.default_rng(1).standard_normal((300, 2))
    inputs = Garch(fit=ReturnsTable.of(returns))
    sample = rows_of(inputs, lambda x: x.sum(axis=1), 2_000, 1)
    (exhibit,) = Sensitivities().exhibits(answered(sample, inputs, None, estimate_of(0.02)))
    assert [row["parameter"] for row in table(exhibit)] == ["threshold"]
    assert "Parameters of the inputs: not available: inputs of kind garch have no density." in exhibit.notes


@pytest.mark.parametrize("direction", ["below", "above"])
def test_events_that_were_not_kept_are_said_to_be_missing(direction):
    case = CASES["normal"]
    sample = case.sample(2_000, 1)
    threshold = case.floor - 1.0
    (exhibit,) = Sensitivities().exhibits(
        answered(sample, case.inputs, case.loss, estimate_of(threshold, direction=direction))
    )
    assert not exhibit.rows
    assert exhibit.status == Status.BOUND_ONLY
    assert "not available:" in exhibit.notes[-1]


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_an_event_below_has_the_derivative_of_the_lower_tail(seed):
    inputs = Normal(mean=0.0, std=1.0)
    proposal = Normal(mean=-3.0, std=1.0)
    sample = rows_of(inputs, lambda x: x[:, 0], 20_000, seed(3), proposal=proposal)
    (exhibit,) = Sensitivities().exhibits(answered(sample, inputs, None, estimate_of(-3.0, direction="below")))
    (mean, std) = table(exhibit)
    assert_within_error(mean["derivative"], -stats.norm.pdf(3.0), mean["std_error"])
    assert_within_error(std["derivative"], 3.0 * stats.norm.pdf(3.0), std["std_error"])


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_a_factor_model_has_the_derivatives_of_its_normal_law(seed):
    """The loss is normal with the variance ``b'b 4 + 3 s^2``: by the loadings together, the factor and the specific."""
    loadings, weights = np.array([0.6, 0.3, 0.5]), np.ones(3)
    model = FactorModel(loadings=loadings[:, None], factors=Normal(std=[2.0]), specific=0.5)
    b = float(weights @ loadings)
    std = math.sqrt(4 * b * b + 3 * 0.25)
    t = 2.5 * std
    steepest = np.array([2 * b, 0.5, 0.5, 0.5]) / std
    proposal = Normal(mean=2.7 * steepest, std=np.ones(4))
    sample = rows_of(model, lambda x: x @ weights, 50_000, seed(4), proposal=proposal)
    (exhibit,) = Sensitivities(parameters=["factors.std", "specific", "loadings"]).exhibits(
        answered(sample, model, None, estimate_of(t))
    )
    rows = {row["parameter"]: row for row in table(exhibit)}
    by_std = stats.norm.pdf(2.5) * 2.5 / std
    exact = {"specific": by_std * 3 * 0.5 / std}
    exact["factors.std"] = by_std * 2.0 * b * b / std
    exact["loadings"] = by_std * 4 * b * b / std
    for name, value in exact.items():
        assert_within_error(rows[name]["derivative"], value, rows[name]["std_error"])


def test_few_rows_of_a_continuous_loss_are_no_steps():
    """The value at risk is one of the rows, and has more than a hundredth of a tail of fewer than a hundred."""
    notes = " ".join(CASES["normal"].shown(Sensitivities(), 200, 1).notes)
    assert "step" not in notes.replace("Steps of the differences", "")


# ------------------------------------------------------------------ the rate


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("floor", [0.0, 2.99], ids=["central", "forward"])
def test_rate_of_a_normal_tail(floor, seed):
    law, shift = Normal(mean=0.0, std=1.0), Normal(mean=3.0, std=1.0)
    sample = rows_of(law, lambda x: x[:, 0], 100_000, seed(5), floor, shift)
    rate = TailRate.of(sample, 3.0)
    exact = stats.norm.pdf(3.0) / stats.norm.sf(3.0)
    assert rate.is_central is (floor == 0.0)
    assert_within_error(rate.value, exact, sample.error_of_sum(rate.influence))


@pytest.mark.parametrize(
    ("law", "at", "slope"),
    [
        (stats.norm, 3.0, None),
        (stats.expon, 7.0, 0.0),
        (stats.t(4), 7.0, None),
    ],
    ids=["normal", "exponential", "t"],
)
def test_rate_and_its_slope_of_evenly_spaced_quantiles(law, at, slope):
    n = 10**8
    loss = law.isf((np.arange(1, 3 * int(n * law.sf(at))) - 0.5) / n)
    empty = [np.empty((loss.size, 0)) for _ in range(3)]
    rate = TailRate.of(TailSample(n, float(loss[-1]), loss, np.zeros(loss.size), np.arange(loss.size), *empty), at)
    exact = law.pdf(at) / law.sf(at)
    assert rate.value == pytest.approx(exact, rel=0.001)
    of_rate = (law.pdf(at + 1e-4) / law.sf(at + 1e-4) - law.pdf(at - 1e-4) / law.sf(at - 1e-4)) / 2e-4
    assert rate.slope == pytest.approx(of_rate if slope is None else slope, rel=0.01, abs=1e-3)


def test_rate_needs_rows_and_a_density():
    few = TailSample(100, 0.0, np.arange(30.0), np.zeros(30), np.arange(30), *(np.empty((30, 0)) for _ in range(3)))
    with pytest.raises(NoRateError, match=r"only 9 effective rows lie beyond 20 \(20 wanted\)"):
        TailRate.of(few, 20.0)
    steps = np.repeat(np.arange(5.0), 40)
    empty = [np.empty((200, 0)) for _ in range(3)]
    with pytest.raises(NoRateError, match="the loss moves in steps around 2"):
        TailRate.of(TailSample(400, 0.0, steps, np.zeros(200), np.arange(200), *empty), 2.0)


# ------------------------------------------------------------------ what if


@pytest.mark.statistical(effect=0.3, false_fail=1e-5, false_pass=1e-3)
@pytest.mark.parametrize("dof", [6.0, 5.0])
def test_fewer_or_more_degrees_of_freedom_against_closed_forms(dof, seed):
    exhibit = CASES["t"].shown(WhatIf(change={"dof": dof}), 30_000, seed(6))
    rows = {row["quantity"]: row for row in table(exhibit)}
    z = 1.3 * stats.t.isf(TAIL, 4)
    exact = {
        P: stats.t.sf(z, dof),
        V: MEAN + STD * stats.t.isf(TAIL, dof),
        E: MEAN + STD * t_shortfall(dof, TAIL),
    }
    assert exhibit.status == Status.TRUSTED
    assert exhibit.name == f"what_if_dof_{dof:g}"
    for quantity, value in exact.items():
        row = rows[quantity]
        assert_within_error(row["changed"], value, row["std_error"])
        assert row["ratio"] == pytest.approx(row["changed"] / row["base"])
        assert row["lower"] < row["changed"] < row["upper"]
        assert row["ratio_lower"] < row["ratio"] < row["ratio_upper"]


@pytest.mark.slow
@pytest.mark.statistical(effect=0.3, false_fail=1e-5, false_pass=0.01)
def test_intervals_of_changed_numbers_and_ratios_cover(seed):
    repeats, dof, case = 400, 6.0, CASES["t"]
    exact = {P: stats.t.sf(1.3 * stats.t.isf(TAIL, 4), dof), V: MEAN + STD * stats.t.isf(TAIL, dof)}
    exact[E] = MEAN + STD * t_shortfall(dof, TAIL)
    runs = [table(case.shown(WhatIf(change={"dof": dof}), 6_000, seed(1000 + k))) for k in range(repeats)]
    for at, quantity in enumerate((P, V, E)):
        own = [run[at] for run in runs]
        value, ratio = exact[quantity], exact[quantity] / case.values[quantity]
        for key, target in (("", value), ("ratio_", ratio)):
            covered = sum(row[f"{key}lower"] <= target <= row[f"{key}upper"] for row in own)
            assert_count_at_least(covered, repeats, 0.93)
        errors = np.array([row["std_error"] for row in own])
        assert_spread_is([row["changed"] for row in own], math.sqrt(np.mean(errors**2)))


def test_far_changes_are_not_to_be_used_and_say_why():
    exhibit = CASES["normal"].shown(WhatIf(change={"mean": "+ 2"}), 8_000, 1)
    rows = table(exhibit)
    assert exhibit.status == Status.UNTRUSTED
    assert {row["status"] for row in rows if row["quantity"] != P} == {Status.UNTRUSTED}
    assert "draws hit the event (100 wanted)" in " ".join(exhibit.notes)


def test_a_value_at_risk_below_the_rows_is_a_bound():
    exhibit = CASES["normal"].shown(WhatIf(change={"std": "* 0.5"}), 20_000, 1)
    rows = {row["quantity"]: row for row in table(exhibit)}
    floor = CASES["normal"].floor
    assert rows[V]["changed"] is None
    assert rows[V]["upper"] == floor
    exact = MEAN + 0.5 * STD * stats.norm.pdf(stats.norm.isf(TAIL)) / TAIL
    assert exact < rows[E]["upper"] < 1.5 * floor
    assert rows[V]["status"] == rows[E]["status"] == exhibit.status == Status.BOUND_ONLY
    assert f"below the smallest loss that was kept, {floor:.6g}" in " ".join(exhibit.notes)


def test_a_run_that_is_not_trusted_does_not_become_so():
    case = CASES["normal"]
    doubtful = estimate_of(case.estimates[0].threshold, status=Status.CAUTION)
    given = answered(case.sample(8_000, 1), case.inputs, case.loss, doubtful)
    for measure in (WhatIf(change={"std": "* 1.05"}), Sensitivities(parameters=["std"])):
        (exhibit,) = measure.exhibits(given)
        assert exhibit.status == Status.CAUTION


def test_changes_are_made_one_after_the_other():
    case = CASES["t"]
    measure = WhatIf(change={"dof": 6, "std": "* 1.1", "correlation": "+ 0.05", "loc.x1": "- 0.1"})
    law = measure.changed(case.inputs)
    assert law.dof == 6
    spread = np.sqrt(np.diag(law.shape))
    np.testing.assert_allclose(spread, 1.1 * SD)
    correlation = COV / np.outer(SD, SD)
    np.testing.assert_allclose(law.shape / np.outer(spread, spread), correlation + 0.05 * (1 - np.eye(3)))
    np.testing.assert_allclose(law.normal.location, MU - [0.1, 0, 0])
    assert measure.title == "dof 6, std * 1.1, correlation + 0.05, loc.x1 - 0.1"


def test_no_change_changes_nothing():
    case = CASES["t"]
    sample = case.sample(3_000, 1)
    same = reweighted(sample, case.inputs, WhatIf(change={"dof": 4.0}).changed(case.inputs))
    np.testing.assert_allclose(same.log_weight, sample.log_weight, atol=1e-12)
    for row in table(case.shown(WhatIf(change={"std": "* 1"}), 3_000, 1)):
        assert row["ratio"] == pytest.approx(1.0)
        assert row["ratio_upper"] - row["ratio_lower"] < 1e-6


def test_a_small_change_is_the_derivative():
    case = CASES["normal"]
    moved = {row["quantity"]: row for row in table(case.shown(WhatIf(change={"std": "* 1.001"}), 20_000, 1))}
    for row in table(case.shown(Sensitivities(parameters=["std"], per=0.001), 20_000, 1)):
        if row["parameter"] == "std" and row["quantity"] != V:  # a quantile of rows moves by steps
            difference = moved[row["quantity"]]["changed"] - moved[row["quantity"]]["base"]
            assert difference == pytest.approx(row["change"], rel=0.02)


def test_what_cannot_be_changed_is_said():
    for change, why in (
        ({"stdd": "* 2"}, "change: stdd: unknown parameter 'stdd'; did you mean 'std'?"),
        ({"correlation": "+ 0.9"}, "change: correlation: cov: must be positive definite"),
        ({"std": "* -1"}, "change: std: must be positive"),
    ):
        exhibit = CASES["normal"].shown(WhatIf(change=change), 2_000, 1)
        assert not exhibit.rows
        assert exhibit.notes[0].startswith(f"Not available: {why}")
    exhibit = CASES["t"].shown(WhatIf(change={"std": 0.2}), 2_000, 1)
    assert "std: must be changed by a factor" in exhibit.notes[0]


def check(measure, inputs):
    measure.check_inputs(inputs)
    measure.check_parameters(Portfolio(linear), inputs)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (
            Sensitivities(parameters=["std", "dof"]),
            r"parameters: unknown parameter 'dof' \(allowed: correlation, mean, std",
        ),
        (WhatIf(change={"dof": 4}), "change: dof: unknown parameter 'dof'"),
        (WhatIf(change={"std": "- 3"}), "change: std: must be positive, got -2"),
    ],
)
def test_what_does_not_go_with_the_inputs_is_refused_before_the_run(measure, message):
    with pytest.raises(FieldError, match=message):
        check(measure, CASES["normal"].inputs)


def test_inputs_without_parameters_are_refused_before_the_run():
    inputs = Garch(fit=ReturnsTable.of(0.01 * np.random.default_rng(1).standard_normal((300, 2))))
    check(Sensitivities(), inputs)
    with pytest.raises(FieldError, match="change: dof: the inputs have none: a law of kind garch has no density"):
        check(WhatIf(change={"dof": 4}), inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WhatIf(change={}), "change: must name at least one parameter"),
        (
            lambda: WhatIf(change={"dof": "4"}),
            r"change: dof must be a number, '\* 1.1', '\+ 0.05' or '- 0.05', got '4'",
        ),
        (lambda: WhatIf(change={"dof": "x 2"}), "change: dof must be a number"),
        (lambda: WhatIf(change={"dof": math.nan}), "change: dof must be a finite number"),
        (lambda: WhatIf(change={"dof": 4}, name="a b"), "name: must be letters, digits"),
        (lambda: WhatIf(change={"dof": 4}, confidence=95), "confidence: must be above 0 and below 1, got 95"),
        (lambda: Sensitivities(parameters=[]), "parameters: must be a list with at least one name"),
        (lambda: Sensitivities(parameters="std"), "parameters: must be a list of texts or None, got the text 'std'"),
        (lambda: Sensitivities(per=0.0), "per: must be positive"),
        (lambda: Sensitivities(confidence=1.0), "confidence: must be above 0 and below 1"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(FieldError, match=message):
        make()


def test_readings_are_the_numbers_themselves():
    case = CASES["credit"]
    sample = case.sample(50_000, 1)
    readings = {estimate.kind: Reading.of(sample, estimate) for estimate in case.estimates}
    assert readings[V].value == case.values[V]
    assert readings[V].steps
    assert readings[E].value == pytest.approx(case.values[E], rel=0.05)
    assert readings[P].value == pytest.approx(case.values[P], rel=0.1)
