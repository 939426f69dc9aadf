"""Two-step sampling: its conditional laws, its weights, and what auto makes of it."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

import raresim
from raresim.accumulators import tail_draws
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.losses.parts import Held, InColumns
from raresim.measures import tail_sample
from raresim.models import Credit
from raresim.models.obligors.conditional import log_mills, probabilities, twist
from raresim.models.obligors.conditional_draws import ConditionalDraws
from raresim.models.obligors.exact_law import ExactLaw
from raresim.models.obligors.twisted_draws import Aim, TwistedDraws
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.helpers import losses, normals
from tests.models.test_credit import Table, exact_law
from tests.models.test_credit_migration import rated
from tests.statistical import assert_within_error


def lumpy(m=40, **options):
    """Exposures of 1, 4 and 9, and default probabilities around one per cent."""
    k = np.arange(m)
    table = Table(id=[f"n{i}" for i in k], ead=((1.0 + k % 3) ** 2).tolist(), pd=(0.005 + 0.0005 * k).tolist())
    return Credit(tape=table, **({"lgd": 1.0, "rho": 0.25} | options))


def beta_severities():
    m = 40
    table = Table(id=range(m), ead=[1.0 + i % 4 for i in range(m)], pd=[0.01] * m, rho=[0.3] * m)
    return Credit(tape=Table(table, lgd_mean=[0.4] * m, lgd_std=[0.25] * m))


def correlated(**options):
    m = 40
    table = Table(id=range(m), ead=[1.0] * m, pd=[0.02] * m, rho=[0.3] * m, sector=[*"yx"] * 20)
    return Credit(tape=table, lgd=1.0, between_sectors=0.4, **options)


MODELS = {
    "one factor": lumpy,
    "beta": beta_severities,
    "t and sectors": lambda: correlated(copula="t", dof=5.0),
    "ratings": rated,
    "ratings, t and beta": lambda: rated(copula="t", dof=6.0, columns={"lgd_mean": [0.4] * 40, "lgd_std": [0.2] * 40}),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param()


def factors_of(model, v):
    u = np.zeros((len(v), model.inputs.dim), order="F")
    u[:, :-1] = v
    return model.inputs.to_physical(u, np.empty_like(u))


def test_conditional_probabilities_are_those_of_the_law_of_asset_values():
    model = correlated(copula="t", dof=5.0)
    x = factors_of(model, np.array([[0.5, -1.0, 0.7]]))[0]
    p, eta = np.empty(40), np.empty(40)
    probabilities(x, model.loss.book, p, eta)
    barrier = stats.t.isf(0.02, 5.0)
    given = (np.sqrt(0.3) * np.where(np.arange(40) % 2, x[1], x[0]) - barrier / x[2]) / np.sqrt(0.7)
    np.testing.assert_allclose(p, special.ndtr(given), rtol=1e-12)
    np.testing.assert_allclose(eta, given, rtol=1e-12)


@pytest.mark.parametrize("level", [1.0, 7.3, 40.0, 70.0])
def test_twist_makes_the_level_the_mean(level, seed):
    rng = np.random.default_rng(seed(920))
    p, c, work = rng.uniform(0.0, 0.05, 60), rng.lognormal(size=60), np.empty(3)

    def mean(t):
        return float(c @ special.expit(special.logit(p) + t * c))

    t = twist(p, c, level, work)
    if mean(0.0) >= level:
        assert t == 0.0
    else:
        np.testing.assert_allclose(t, optimize.brentq(lambda t: mean(t) - level, 0.0, 1e3, xtol=1e-14), rtol=1e-7)
        np.testing.assert_allclose(work[0], np.log1p(p * np.expm1(t * c)).sum(), rtol=1e-9)
    assert twist(p, c, 1.01 * c.sum(), work) == math.inf


def test_log_mills_is_that_of_the_normal_law():
    at = np.array([0.0, 0.5, 3.0, 8.0, 29.9, 30.1, 1e3])
    exact = 0.5 * at**2 + special.log_ndtr(-at)
    np.testing.assert_allclose([log_mills(a) for a in at], exact, rtol=1e-7)


def test_slope_of_the_bound_is_its_derivative(model):
    level = 0.4 * model.loss.largest_loss

    def bound(v):
        out, _, slope = model.loss.tail_laws(factors_of(model, v), level)
        return out, model.inputs.pulled_back(v, slope)

    v = np.full((1, model.inputs.dim - 1), 0.3)
    slope = bound(v)[1][0]
    for j in range(v.shape[1]):
        step = np.zeros_like(v)
        step[0, j] = 1e-5
        np.testing.assert_allclose(slope[j], (bound(v + step)[0] - bound(v - step)[0])[0] / 2e-5, rtol=1e-4)


def rows_of(model, level, events, seed, n, share=0.1):
    d = model.inputs.dim - 1
    aims = (
        Aim(share, StandardNormal(dim=d), -math.inf),
        Aim(0.5, Normal(mean=np.full(d, 1.0), std=1.0), level),
        Aim(0.5 - share, Normal(mean=np.full(d, 0.5), std=1.2), 0.5 * level),
    )
    sampler = Sampler(Problem(model.inputs, model.loss.bind(model.inputs)), None, seed)
    rows = TwistedDraws(sampler, tuple(Event(x, "above") for x in events), aims)
    return rows, rows(Block(0, 0, 0, n))


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.slow_cases("ratings", "ratings, t and beta")
def test_weights_are_those_of_the_model(model, seed):
    """They add up to one over all rows, and to the probability that plain draws see beyond a loss."""
    level, n = 0.3 * model.loss.largest_loss, 30_000
    u = normals(120_000, model.inputs.latent_dim, seed(921))
    loss = losses(model.loss, model.inputs.to_physical(u, np.empty_like(u)))
    threshold = float(np.quantile(loss, 0.995))
    _, summary = rows_of(model, level, [-1e9, threshold], seed(922), n)
    tail = summary.tail
    plain = (loss >= threshold).mean()
    errors = [math.exp(tail.log_probability(k)) * tail.relative_error(k) for k in range(2)]
    assert_within_error(math.exp(tail.log_probability(0)), 1.0, errors[0])
    both = math.hypot(errors[1], math.sqrt(plain / loss.size))
    assert_within_error(math.exp(tail.log_probability(1)) / plain, 1.0, both / plain)
    assert tail.peak.max() <= math.log(10.0) + 1e-12


def test_parts_of_kept_rows_add_up_to_their_losses(model, seed):
    rows, _ = rows_of(model, 0.3 * model.loss.largest_loss, [1.0], seed(923), 10)
    u = rows.draw(Block(3, 0, 0, 300))
    x, loss = rows.factors(u), np.empty(300)
    rows.loss.rows(x, loss)
    np.testing.assert_allclose(rows.read_with.loss.components(x).sum(axis=1), loss, rtol=1e-12, atol=1e-12)
    assert (loss > 0).mean() > 0.5


def test_rows_through_a_draw_have_the_weight_of_its_factors_and_loss(seed):
    model = lumpy()
    rows, _ = rows_of(model, 60.0, [30.0], seed(924), 10)
    u = np.asfortranarray(np.column_stack([np.linspace(-1, 4, 9), np.linspace(-2, 2, 9)]))
    weight, evaluations = rows.through(u, Block(0, 0, 0, 1))
    p, work, eta = np.empty(40), np.empty(3), np.empty(40)
    for i, (v, loss) in enumerate(zip(u[:, 0], losses(model.loss, u), strict=True)):
        probabilities(u[i].copy(), model.loss.book, p, eta)
        density = 0.1 * stats.norm.pdf(v)
        for share, mean, std, level in ((0.5, 1.0, 1.0, 60.0), (0.4, 0.5, 1.2, 30.0)):
            t = twist(p, model.loss.severity, level, work)
            density += share * stats.norm.pdf(v, mean, std) * math.exp(t * loss - (work[0] if t else 0.0))
        np.testing.assert_allclose(weight[0, i], math.log(stats.norm.pdf(v) / density), rtol=1e-9)
    assert evaluations == 0


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_auto_takes_the_scheme_and_finds_the_exact_answer(seed):
    """A hundred obligors with exposures 1, 4, 9, 16, 25: exact convolution given the factor."""
    m, level = 100, 250
    k = np.arange(1, m + 1)
    ead, pd = np.ceil(5 * k / m) ** 2, 0.01 * (1 + np.sin(16 * np.pi * k / m))
    model = Credit(tape=Table(id=k.tolist(), ead=ead.tolist(), pd=pd.tolist()), lgd=1.0, rho=0.1)
    exact = 1.0024492157702217e-06
    result = raresim.estimate(model, measures=raresim.Probability(above=level), seed=seed(925), relative_error=0.03)
    (estimate,) = result.estimates
    assert_within_error(estimate.value / exact, 1.0, estimate.std_error / exact)
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["estimate"] < 8_000
    assert "draws come from the scheme of the model" in result.search["decisions"][-1]


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_numbers_of_the_number_of_defaults_are_exact(seed):
    """Value at risk, shortfall and two probabilities of one run with twisted rows."""
    model = Credit(tape=Table(id=range(60), ead=[1.0] * 60, pd=np.linspace(0.005, 0.05, 60).tolist()), lgd=1.0, rho=0.2)
    factor = np.linspace(-9, 9, 4001)
    law = exact_law(model, factor, stats.norm.pdf(factor) * (factor[1] - factor[0]))
    beyond = law[::-1].cumsum()[::-1]
    var, tail = 18, math.sqrt(beyond[18] * beyond[19])  # well between two steps of the law
    shortfall = var + float((law * np.maximum(np.arange(61) - var, 0)).sum()) / tail
    measures = [
        raresim.Probability(above=12.0),
        raresim.Probability(above=25.0),
        raresim.ValueAtRisk(tail=tail),
        raresim.ExpectedShortfall(tail=tail),
    ]
    method = raresim.Auto(scheme="only")
    result = raresim.estimate(model, measures=measures, method=method, seed=seed(926), relative_error=0.03)
    p12, p25, at_risk, es = result.estimates
    assert_within_error(p12.value / beyond[12], 1.0, p12.std_error / beyond[12])
    assert_within_error(p25.value / beyond[25], 1.0, p25.std_error / beyond[25])
    assert at_risk.value == var
    assert_within_error(es.value / shortfall, 1.0, es.std_error / shortfall)


@pytest.mark.slow
def test_scheme_can_be_left_out_and_is_missed_where_there_is_none(seed):
    model = lumpy()
    up = raresim.Probability(above=60.0)
    off = raresim.estimate(model, measures=up, method=raresim.Auto(scheme="off"), seed=seed(927), relative_error=0.2)
    assert not any("scheme" in decision for decision in off.search["decisions"])
    only = raresim.Auto(scheme="only")
    with pytest.raises(FieldError, match=r"^scheme: must not be 'only': inputs and loss of this run"):
        raresim.estimate(2, lambda x: x[:, 0], raresim.Probability(above=2.0), only, seed=1)
    with pytest.raises(FieldError, match=r"^scheme: must not be 'only': the scheme of the model does not serve"):
        raresim.estimate(model, measures=raresim.Probability(below=0.0), method=only, seed=1)


@pytest.mark.slow
def test_processes_draw_the_same_rows(two_processes, seed):
    model, up = correlated(), raresim.Probability(above=20.0)
    given = {"measures": [up], "model": model, "method": raresim.Auto(scheme="only"), "seed": seed(928)}
    experiment = raresim.Experiment(**given, stop=raresim.Stop(relative_error=0.3), audit="off")
    assert experiment.run(two_processes).estimates == experiment.run().estimates


def test_a_run_without_audit_has_a_scope():
    """No draw of the model itself was searched: nothing is said of what lies hidden."""
    method = raresim.Auto(scheme="only")
    found = raresim.estimate(lumpy(), measures=raresim.Probability(above=60.0), method=method, seed=5, audit="off")
    assert found.verdict.scope == "the failure regions that the search found"
    assert found.verdict.status is Status.CAUTION


def small_law(model):
    d = model.inputs.dim - 1
    return Mixture(weights=[0.2, 0.8], components=[StandardNormal(dim=d), Normal(mean=np.full(d, 1.0), std=1.1)])


@pytest.mark.statistical(effect=0.35, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("options", [{}, {"copula": "t", "dof": 5.0}], ids=["gaussian", "t"])
def test_integrated_rows_have_the_mean_of_the_exact_law(options, seed):
    model = lumpy(**options)
    problem = Problem(model.inputs, model.loss)
    events = (Event(20.0, "above"), Event(60.0, "above"))
    rows = ConditionalDraws.of(Sampler(problem, None, seed(929)), events, small_law(model))
    assert rows.lattice == 1.0
    exact = ExactLaw.of(model.inputs, model.loss, 20.0, 60.0)
    tail = rows(Block(0, 0, 0, 20_000)).tail
    for k, event in enumerate(events):
        p = exact.probability(event.threshold)
        assert_within_error(math.exp(tail.log_probability(k)) / p, 1.0, tail.relative_error(k))


def test_integrated_rows_are_exact_given_the_factor():
    """Of five obligors alike, a binomial law."""
    model = Credit(tape=Table(id=range(5), ead=[2.0] * 5, pd=[0.1] * 5), lgd=1.0, rho=0.3)
    law = StandardNormal(dim=1)
    rows = ConditionalDraws.of(Sampler(Problem(model.inputs, model.loss), None, 1), (Event(5.0, "above"),), law)
    z = np.array([[-1.0], [0.0], [2.5]], order="F")
    p = special.ndtr((special.ndtri(0.1) + math.sqrt(0.3) * z[:, 0]) / math.sqrt(0.7))
    np.testing.assert_allclose(rows.log_weights(z)[0], stats.binom.logsf(2, 5, p), rtol=1e-12)
    np.testing.assert_allclose(rows.through(np.column_stack([z, z]), Block(0, 0, 0, 1))[0], rows.log_weights(z))


def test_factors_alone_are_drawn_only_where_losses_have_a_unit():
    sampler = Sampler(Problem(beta_severities().inputs, beta_severities().loss), None, 1)
    assert ConditionalDraws.of(sampler, (Event(5.0, "above"),), StandardNormal(dim=1)) is None
    odd = Credit(tape=Table(id=[1, 2], ead=[1.0, math.pi], pd=[0.1] * 2), lgd=1.0, rho=0.1)
    sampler = Sampler(Problem(odd.inputs, odd.loss), None, 1)
    assert ConditionalDraws.of(sampler, (Event(2.0, "above"),), StandardNormal(dim=1)) is None


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("options", [{}, {"copula": "t", "dof": 6.0}], ids=["gaussian", "t"])
def test_sensitivities_to_default_probabilities_and_correlations_are_derivatives(options, seed):
    """Of a probability, from twisted rows, against differences of the exact law."""
    pd = np.linspace(0.005, 0.05, 60)

    def pool(factor=1.0, more=1.0):
        table = Table(id=range(60), ead=[1.0] * 60, pd=(factor * pd).tolist(), rho=[0.2 * more] * 60)
        return Credit(tape=table, lgd=1.0, **options)

    def exact(**changes):
        model = pool(**changes)
        return ExactLaw.of(model.inputs, model.loss, 18.0, 18.0).probability(18.0)

    result = raresim.estimate(
        pool(),
        measures=[raresim.Probability(above=18.0), raresim.Sensitivities()],
        method=raresim.Auto(scheme="only"),
        seed=seed(930),
        relative_error=0.015,
    )
    found = sensitivities(result, "probability")
    for name, change in (("pd", "factor"), ("rho", "more")):
        slope = (exact(**{change: 1.002}) - exact(**{change: 0.998})) / 0.004
        assert_within_error(found[name]["derivative"] / slope, 1.0, found[name]["std_error"] / slope)


def sensitivities(result, quantity):
    """Rows of the table by parameter, of one kind of number."""
    table = next(e for e in result.exhibits if e.name == "sensitivities")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {row["parameter"]: row for row in rows if row["quantity"] == quantity}


@pytest.fixture(scope="module")
def uneven(request):
    """Eighty exposures that are no multiples of each other, and a run that asks for derivatives by name and group."""
    rng = np.random.default_rng(7)
    table = Table(id=range(80), ead=rng.lognormal(sigma=0.6, size=80).tolist(), pd=rng.uniform(0.01, 0.05, 80).tolist())
    table |= {"kind": ["a", "b"] * 40}
    model = Credit(tape=table, lgd=0.6, rho=0.2)
    tail = 0.001
    result = raresim.estimate(
        model,
        measures=[
            raresim.Probability(above=13.0),
            raresim.ValueAtRisk(tail=tail),
            raresim.ExpectedShortfall(tail=tail),
            raresim.Sensitivities(parameters=["pd", "lgd", "rho"], by="kind"),
        ],
        method=raresim.Auto(scheme="only"),
        seed=931 + 1_000_000 * request.config.getoption("--reseed"),
        relative_error=0.01,
    )
    return table, result, tail


def changed(table, rho=0.2, factor=1.0, lgd=1.0, of="ab"):
    """The exact law with the default probabilities, or losses, of some kinds, or all, changed by a factor."""
    chosen = np.array([kind in of for kind in table["kind"]])
    pd = np.array(table["pd"]) * np.where(chosen, factor, 1.0)
    ead = np.array(table["ead"]) * np.where(chosen, lgd, 1.0)
    model = Credit(tape=Table(table | {"pd": pd.tolist(), "ead": ead.tolist()}), lgd=0.6, rho=rho)
    return ExactLaw.of(model.inputs, model.loss, 10.0, 20.0)


CHANGES = {
    "pd": lambda h: {"factor": 1 + h},
    "pd.kind.a": lambda h: {"factor": 1 + h, "of": "a"},
    "pd.kind.b": lambda h: {"factor": 1 + h, "of": "b"},
    "rho": lambda h: {"rho": 0.2 * (1 + h)},
    "lgd": lambda h: {"lgd": 1 + h},
    "lgd.kind.a": lambda h: {"lgd": 1 + h, "of": "a"},
    "lgd.kind.b": lambda h: {"lgd": 1 + h, "of": "b"},
}


@pytest.mark.statistical(effect=0.5, false_fail=1e-5, false_pass=1e-3)
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.slow_cases("pd")
def test_derivatives_by_name_and_group_are_differences_of_the_exact_law(uneven, name):
    """The exact law rounds to 1/1000 of the loss, and the density at a value at risk has a bias of 1 %."""
    table, result, tail = uneven
    h = 0.05
    laws = [changed(table, **CHANGES[name](step)) for step in (-h, h)]
    of = {
        "probability": [law.probability(13.0) for law in laws],
        "value_at_risk": [law.value_at_risk(tail) for law in laws],
        "expected_shortfall": [law.expected_shortfall(tail) for law in laws],
    }
    for quantity, (low, high) in of.items():
        slope, row = (high - low) / (2 * h), sensitivities(result, quantity)[name]
        assert_within_error(row["derivative"] / slope, 1.0, math.hypot(row["std_error"] / slope, 0.005))


def test_groups_add_up_to_the_whole(uneven):
    _, result, _ = uneven
    for quantity in ("probability", "value_at_risk", "expected_shortfall"):
        found = sensitivities(result, quantity)
        assert set(found) >= {"pd", "rho", "lgd", "pd.kind.a", "rho.kind.b"}
        for name in ("pd", "rho"):
            both = found[f"{name}.kind.a"]["derivative"] + found[f"{name}.kind.b"]["derivative"]
            assert found[name]["derivative"] == pytest.approx(both, rel=1e-9)
        both = found["lgd.kind.a"]["derivative"] + found["lgd.kind.b"]["derivative"]
        assert found["lgd"]["derivative"] == pytest.approx(both, rel=1e-3)
        if quantity != "probability":
            assert found["lgd"]["elasticity"] == pytest.approx(1.0, abs=1e-12)


def test_sensitivities_that_a_credit_model_does_not_have_are_refused():
    def run(model, **options):
        measures = [raresim.Probability(above=30.0), raresim.Sensitivities(**options)]
        return raresim.estimate(model, measures=measures, seed=1)

    with pytest.raises(FieldError, match=r"parameters: .*; the loss has pd, rho, lgd$"):
        run(lumpy(), parameters=["pds"])
    with pytest.raises(FieldError, match=r"by: unknown column of tape|by: must be a column of tape"):
        run(lumpy(), by="sector")
    with pytest.raises(FieldError, match=r"by: must be left out: a loss of kind 'credit_migration' has no parameters"):
        run(rated(), by="rating")


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_parts_that_are_made_in_columns_are_the_same(make, seed):
    """Of the loss of the model and of its twisted rows."""
    model = make()
    x = factors_of(model, normals(300, model.inputs.dim - 1, seed(932)))
    x[:, -1] = normals(300, 1, seed(933))[:, 0]
    twisted = model.loss.twisted(np.array([-np.inf, 20.0]), np.array([0.3, 0.7]))
    for loss in (model.loss, twisted):
        whole = Held(loss.components(x))
        parts = InColumns(300, 40, loss.part_columns(x))
        groups = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
        np.testing.assert_array_equal(np.hstack([parts.columns(some) for some in parts.chunks()]), whole.values)
        np.testing.assert_allclose(parts.sums(groups), whole.sums(groups), rtol=1e-12)
        np.testing.assert_allclose(parts.sum(groups[1]), whole.sum(groups[1]), rtol=1e-12)
        assert parts.size == whole.size == 40


@pytest.mark.slow
def test_contributions_are_the_same_where_parts_are_too_many_to_be_held(monkeypatch, seed):
    """As in a book of many obligors: all kept rows count, and nothing of the size rows times obligors is held."""

    def run():
        measures = [
            raresim.ValueAtRisk(level=0.99),
            raresim.Contributions(level=0.99, by="sector"),
            raresim.Sensitivities(),
        ]
        return raresim.estimate(correlated(), measures=measures, seed=seed(934), relative_error=0.05)

    def tables(result):
        return {e.name: e for e in result.exhibits if e.name.startswith(("contributions", "sensitivities"))}

    whole = tables(run())
    made: list[InColumns] = []
    monkeypatch.setattr(tail_draws, "NUMBERS", 30_000)  # enough for the draws, not for their parts
    monkeypatch.setattr(tail_sample, "InColumns", lambda *given: made.append(InColumns(*given)) or made[-1])
    in_columns = tables(run())
    assert [parts.parts for parts in made] == [40, 40]  # of the rows that set the floor, and of the estimate
    assert set(whole) == set(in_columns) == {"contributions", "contributions_by_sector", "sensitivities"}
    for name, table in whole.items():
        assert in_columns[name].notes == table.notes
        for row, other in zip(table.rows, in_columns[name].rows, strict=True):
            assert [c for c in row if isinstance(c, str)] == [c for c in other if isinstance(c, str)]
            numbers = [c for c in row if isinstance(c, float)]
            np.testing.assert_allclose([c for c in other if isinstance(c, float)], numbers, rtol=1e-6, atol=1e-9)
