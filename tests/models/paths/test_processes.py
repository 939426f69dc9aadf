"""Processes and what is asked of their paths: laws against closed forms, paths by hand, and what is refused."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import marginals
from raresim.config import load as configs
from raresim.data import ReturnsTable
from raresim.errors import ConfigError, FieldError
from raresim.models import GarchReturns, GeometricBrownian, Heston, MertonJumps, Path, RandomWalk
from raresim.models.paths import bridge
from tests.helpers import block, losses, normals
from tests.statistical import assert_law_is, assert_mean_is

N = 40_000
GBM = {"price": 95.0, "drift": 0.05, "volatility": 0.15}
MERTON = {"price": 100.0, "drift": 0.03, "volatility": 0.2, "jump_rate": 1.5, "jump_mean": -0.1, "jump_std": 0.15}
HESTON = {"price": 100.0, "variance": 0.04, "reversion": 2.0, "long_variance": 0.04, "vol_of_variance": 1.0}
GARCH = {"omega": 1e-6, "alpha": 0.1, "beta": 0.85}
WALK = {"process": RandomWalk(step=marginals.Normal()), "steps": 5, "quantity": "maximum"}
PRICE = {"process": GeometricBrownian(**GBM), "steps": 5, "horizon": 1.0, "quantity": "end"}


def factors(model, n, seed):
    return model.inputs.to_physical(normals(n, model.inputs.latent_dim, seed), block(n, model.inputs.dim))


def asked(model, n, seed):
    return losses(model.loss, factors(model, n, seed))


def by_hand(values, quantity, **options):
    """The loss of a walk through ``values``, one row each, from 0."""
    values = np.asfortranarray(np.diff(np.atleast_2d(values), axis=1, prepend=0.0))
    model = Path(process=RandomWalk(step=marginals.Normal()), steps=values.shape[1], quantity=quantity, **options)
    return losses(model.loss, values).tolist()


@pytest.mark.parametrize("construction", ["increments", "bridge"])
@pytest.mark.statistical(effect=0.03, false_fail=1e-6, false_pass=1e-3)
def test_gbm_ends_lognormal(construction, seed):
    model = Path(process=GeometricBrownian(**GBM), steps=7, horizon=2.0, quantity="end", construction=construction)
    spread = 0.15 * math.sqrt(2.0)
    law = stats.lognorm(spread, scale=95.0 * math.exp(0.1 - 0.5 * spread**2))
    assert_law_is(asked(model, N, seed(1)), law.cdf)


@pytest.mark.statistical(effect=0.03, false_fail=1e-6, false_pass=1e-3)
def test_merton_ends_as_a_poisson_mixture_of_normals(seed):
    model = Path(process=MertonJumps(**MERTON), steps=5, horizon=1.0, quantity="end")
    number = np.arange(40)
    p = stats.poisson.pmf(number, 1.5)
    loc = 0.03 - 0.02 - 1.5 * math.expm1(-0.1 + 0.5 * 0.15**2) - 0.1 * number

    def cdf(x):
        scores = (np.log(x / 100.0)[:, None] - loc) / np.sqrt(0.04 + number * 0.15**2)
        return stats.norm.cdf(scores) @ p

    assert_law_is(asked(model, N, seed(2)), cdf)


def heston_tail(strike, time, rho):
    """``P(S > strike)`` by the Gil-Pelaez inversion of Heston's characteristic function (no drift)."""
    kappa, theta, xi, v = 2.0, 0.04, 1.0, 0.04

    def of(u):
        beta = kappa - 1j * rho * xi * u
        d = np.sqrt(beta**2 + xi**2 * (1j * u + u**2))
        g = (beta - d) / (beta + d)
        left = np.exp(-d * time)
        a = kappa * theta / xi**2 * ((beta - d) * time - 2 * np.log((1 - g * left) / (1 - g)))
        return np.exp(a + v / xi**2 * (beta - d) * (1 - left) / (1 - g * left))

    k = math.log(strike / 100.0)
    found = integrate.quad(lambda u: (np.exp(-1j * u * k) * of(u) / (1j * u)).real, 1e-12, 300.0, limit=500)[0]
    return 0.5 + found / math.pi


@pytest.mark.statistical(effect=0.05, false_fail=1e-6, false_pass=1e-3)
def test_heston_ends_as_its_characteristic_function_says(seed):
    process = Heston(**HESTON, correlation=-0.7)
    found = asked(Path(process=process, steps=64, horizon=1.0, quantity="end"), N, seed(3))
    for strike in (75.0, 105.0):
        assert_mean_is(found > strike, heston_tail(strike, 1.0, -0.7))
    assert "Feller" in process.notes(0.1)[0]
    assert Heston(**HESTON | {"vol_of_variance": 0.3}).notes(0.1) == []


def test_garch_is_the_recursion():
    z = normals(50, 4, 870)
    model = Path(process=GarchReturns(**GARCH, gamma=0.05, mean=0.001, price=10.0), steps=4, quantity="end")
    variance = np.full(50, 1e-6 / (1 - 0.1 - 0.85 - 0.025))
    total = np.zeros(50)
    for t in range(4):
        shock = np.sqrt(variance) * z[:, t]
        total += 0.001 + shock
        variance = 1e-6 + (0.1 + 0.05 * (shock < 0)) * shock**2 + 0.85 * variance
    np.testing.assert_allclose(losses(model.loss, z), 10.0 * np.exp(total), rtol=1e-12)


def test_a_fitted_garch_has_the_returns_of_its_days_as_factors():
    rng = np.random.default_rng(871)
    calm = np.where(np.arange(600) % 100 < 50, 0.01, 0.02)[:, None]
    rows = ReturnsTable.of(calm * rng.standard_normal((600, 1)))
    model = Path(process=GarchReturns(fit=rows, innovations="normal"), steps=6, quantity="n_day_loss", days=2)
    x = factors(model, 20, 872)
    assert model.inputs.kind == "garch"
    path = np.cumsum(np.hstack([np.zeros((20, 1)), x]), axis=1)
    worst = (path[:, :-2] - path[:, 2:]).max(axis=1)
    np.testing.assert_allclose(losses(model.loss, x), -np.expm1(-worst), rtol=1e-12)
    with pytest.raises(FieldError, match=r"^omega: must be left out beside fit"):
        GarchReturns(fit=rows, omega=1e-6)
    with pytest.raises(FieldError, match=r"^fit: must have one column, got 2"):
        GarchReturns(fit=ReturnsTable.of(0.01 * rng.standard_normal((600, 2))))


def test_quantities_of_paths_that_are_known():
    there = [[1.0, -2.0, 0.5, 3.0], [-1.0, -4.0, -3.0, -2.0]]
    assert by_hand(there, "end") == [3.0, -2.0]
    assert by_hand(there, "maximum") == [3.0, 0.0]
    assert by_hand(there, "minimum") == [-2.0, -4.0]
    assert by_hand(there, "drawdown") == [3.0, 4.0]
    assert by_hand(there, "average") == [0.625, -2.5]
    assert by_hand(there, "n_day_loss") == [-3.0, 2.0]
    assert by_hand(there, "n_day_loss", days=2) == [2.0, 4.0]
    assert by_hand(there, "first_passage", barrier=3.0) == [4.0, 8.0]
    assert by_hand(there, "first_passage", barrier=-2.0) == [2.0, 2.0]
    assert by_hand(there, "first_passage", barrier=12.0) == [7.0, 8.0]
    assert by_hand(there, "knock_in", barrier=-2.0) == [0.0, 2.0]
    assert by_hand(there, "knock_in", barrier=-1.5, strike=2.0) == [0.5, -4.0]
    assert by_hand(there, "knock_out", barrier=-3.0, strike=2.0) == [1.0, -4.0]
    assert by_hand(there, "knock_in", barrier=-1.5, strike=2.0, payoff="vanilla") == [1.0, 0.0]
    assert by_hand(there, "knock_out", barrier=-3.0, strike=4.0, option="put", payoff="vanilla") == [1.0, 0.0]


def test_a_price_is_asked_in_its_own_unit():
    z = np.asfortranarray([[1.0, -2.0]])
    process = GeometricBrownian(price=100.0, volatility=0.2)
    prices = 100.0 * np.exp(np.cumsum(-0.02 + 0.2 * z[0]))
    for quantity, wanted in {
        "end": prices[1],
        "maximum": prices[0],
        "minimum": prices[1],
        "drawdown": 1 - prices[1] / prices[0],
        "n_day_loss": 1 - prices[1] / 100.0,
        "average": prices.mean(),
    }.items():
        model = Path(process=process, steps=2, horizon=2.0, quantity=quantity)
        assert losses(model.loss, z)[0] == pytest.approx(wanted, rel=1e-13)
    model = Path(process=process, steps=2, horizon=2.0, quantity="average", average="geometric")
    assert losses(model.loss, z)[0] == pytest.approx(math.sqrt(prices.prod()), rel=1e-13)


@pytest.mark.parametrize("steps", [1, 2, 13, 64])
def test_a_bridge_is_a_rotation_of_the_steps(steps):
    u = normals(100, steps, 873)
    z = bridge.increments(u).copy()
    np.testing.assert_allclose(np.square(z).sum(axis=1), np.square(u).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(z.sum(axis=1), math.sqrt(steps) * u[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bridge.normals_of(z), u, rtol=1e-9, atol=1e-12)


@pytest.mark.statistical(effect=0.03, false_fail=1e-6, false_pass=1e-3)
def test_the_minimum_between_dates_has_the_law_of_the_motion(seed):
    """However few the dates are: the reflection principle."""
    model = Path(
        process=GeometricBrownian(price=1.0, drift=0.02, volatility=0.2),
        steps=3,
        horizon=1.0,
        quantity="minimum",
        monitoring="continuous",
    )

    def cdf(x):
        down = -np.log(x)
        return stats.norm.cdf((-down) / 0.2) + stats.norm.cdf(-down / 0.2)

    assert_law_is(asked(model, N, seed(4)), cdf)


@pytest.mark.parametrize(
    ("process", "changes"),
    [
        (GeometricBrownian(**GBM), {"price": 90.0, "drift": 0.1, "volatility": 0.2}),
        (
            MertonJumps(**MERTON),
            {"price": 90.0, "drift": 0.1, "volatility": 0.1, "jump_rate": 3.0, "jump_mean": 0.1, "jump_std": 0.05},
        ),
        (
            Heston(**HESTON),
            {"price": 90.0, "drift": 0.1, "variance": 0.1, "reversion": 1.0, "long_variance": 0.1}
            | {"vol_of_variance": 0.5, "correlation": -0.5},
        ),
        (
            GarchReturns(**GARCH),
            {"price": 2.0, "omega": 2e-6, "alpha": 0.05, "beta": 0.8, "gamma": 0.02, "mean": 0.01, "variance": 0.01}
            | {"dof": 5.0},
        ),
        (
            RandomWalk(step=marginals.Normal()),
            {"step": marginals.Logistic(), "start": 3.0},
        ),
    ],
    ids=["gbm", "merton", "heston", "garch", "walk"],
)
def test_every_parameter_of_a_process_moves_the_path(process, changes):
    time = {"horizon": 1.0} if process.in_time else {}

    def end(changed):
        return asked(Path(process=replace(process, **changed), steps=3, quantity="end", **time), 300, 874)

    assert set(changes) == {f.name for f in fields(process)} - {"fit", "innovations", "gjr"}
    for name, value in changes.items():
        assert (end({name: value}) != end({})).any(), name


def test_every_option_of_a_path_changes_what_is_asked():
    knock = PRICE | {"quantity": "knock_in", "barrier": 85.0, "strike": 96.0}

    def loss(arguments, changed):
        return asked(Path(**arguments | changed), 300, 875)

    for name, value in {
        "process": GeometricBrownian(**GBM | {"volatility": 0.3}),
        "steps": 6,
        "horizon": 2.0,
        "quantity": "knock_out",
        "barrier": 90.0,
        "strike": 100.0,
        "option": "put",
        "payoff": "vanilla",
        "monitoring": "continuous",
        "construction": "bridge",
    }.items():
        assert (loss(knock, {name: value}) != loss(knock, {})).any(), name
    fall = PRICE | {"quantity": "n_day_loss"}
    assert (loss(fall, {"days": 2}) != loss(fall, {})).any()
    mean = PRICE | {"quantity": "average"}
    assert (loss(mean, {"average": "geometric"}) < loss(mean, {})).all()


@pytest.mark.parametrize(
    ("process", "arguments", "message"),
    [
        (GeometricBrownian, {"price": 0.0, "volatility": 0.2}, "^price: must be positive and finite, got 0"),
        (GeometricBrownian, {"price": 1.0, "volatility": 0.0}, "^volatility: must be positive"),
        (GeometricBrownian, {"price": 1.0, "volatility": 20.0}, "^volatility: .* is it in per cent"),
        (GeometricBrownian, {"price": 1.0, "volatility": 0.2, "drift": math.inf}, "^drift: must be finite"),
        (GeometricBrownian, {"price": 1.0, "vol": 0.2}, "^vol: unknown argument of GeometricBrownian"),
        (MertonJumps, {**MERTON, "volatility": 20.0}, "^volatility: .* is it in per cent"),
        (MertonJumps, {**MERTON, "jump_rate": 0.0}, "^jump_rate: must be positive"),
        (MertonJumps, {**MERTON, "jump_std": -0.1}, "^jump_std: must not be negative"),
        (Heston, {**HESTON, "variance": 400.0}, "^variance: .* the square of a volatility: is it in per cent"),
        (Heston, {**HESTON, "reversion": 0.0}, "^reversion: must be positive"),
        (Heston, {**HESTON, "correlation": -1.0}, "^correlation: must be above -1 and below 1"),
        (GarchReturns, {**GARCH, "beta": 0.9}, r"^beta: .* no long-run level, got 1$"),
        (GarchReturns, {**GARCH, "alpha": -0.1}, "^alpha: must not be negative"),
        (GarchReturns, {**GARCH, "omega": 0.0}, "^omega: must be positive"),
        (GarchReturns, {**GARCH, "gamma": -0.2}, "^gamma: must be at least -alpha"),
        (GarchReturns, {**GARCH, "dof": 2.0}, "^dof: must be above 2"),
        (GarchReturns, {"omega": 1e-6, "alpha": 0.1}, "^beta: is required without fit"),
        (RandomWalk, {"step": marginals.Normal(), "start": math.nan}, "^start: must be finite"),
    ],
)
def test_what_a_process_refuses(process, arguments, message):
    with pytest.raises(FieldError, match=message):
        process(**arguments)


KNOCK = PRICE | {"quantity": "knock_in", "barrier": 85.0, "strike": 96.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**WALK, "steps": 0}, "^steps: must be at least 1, got 0"),
        ({**WALK, "horizon": 1.0}, "^horizon: must be left out for a process of kind walk"),
        ({**PRICE, "horizon": None}, "^horizon: is required for a process of kind gbm"),
        ({**PRICE, "horizon": 0.0}, "^horizon: must be positive"),
        ({**PRICE, "quantity": "ends"}, "^quantity: unknown value 'ends'; did you mean 'end'"),
        ({**PRICE, "barrier": 85.0}, "^barrier: must be left out for end"),
        ({**KNOCK, "barrier": None}, "^barrier: is required for knock_in"),
        ({**KNOCK, "barrier": 95.0}, "^barrier: is hit already: the path begins at it, got 95"),
        ({**KNOCK, "barrier": -85.0}, "^barrier: must be positive and finite, as a price is, got -85"),
        ({**KNOCK, "quantity": "knock_out", "barrier": 96.0}, "^barrier: is on the wrong side: .* above the strike 96"),
        (
            {**KNOCK, "quantity": "knock_out", "strike": 80.0, "option": "put"},
            "^barrier: is on the wrong side: .* below the strike 80",
        ),
        ({**KNOCK, "strike": None, "payoff": "vanilla"}, "^strike: vanilla pays the distance beyond a strike"),
        ({**KNOCK, "quantity": "first_passage"}, "^strike: must be left out for first_passage"),
        ({**KNOCK, "strike": None, "option": "put"}, "^option: must be left out without a strike"),
        ({**PRICE, "payoff": "vanilla"}, "^payoff: must be left out for end"),
        ({**PRICE, "average": "geometric"}, "^average: must be left out for end"),
        ({**PRICE, "days": 2}, "^days: must be left out for end"),
        ({**PRICE, "quantity": "n_day_loss", "days": 6}, "^days: must be at most 5, got 6"),
        ({**PRICE, "monitoring": "continuous"}, "^monitoring: continuous is for maximum, minimum"),
        (
            {**KNOCK, "process": MertonJumps(**MERTON), "monitoring": "continuous"},
            "^monitoring: continuous is for gbm and for a walk with normal steps, .* got merton",
        ),
        ({**WALK, "construction": "bridge"}, "^construction: bridge is for gbm, merton and heston, .* got walk"),
    ],
)
def test_what_a_path_refuses(arguments, message):
    with pytest.raises(FieldError, match=message):
        Path(**arguments)


CONFIG = """\
seed: 1
model:
  kind: path
  process: {kind: gbm, price: 95, volatility: 0.15}
  steps: 50
  horizon: 0.25
  quantity: knock_in
  barrier: 85
measures: [{kind: probability, above: 0}]
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "volatility: 0.15",
            "volatility: 15",
            ":4:.*model.process.volatility: must be at most 3, got 15; is it in per",
        ),
        ("volatility: 0.15", "vol: 0.15", ":4:.*model.process: unknown key 'vol'"),
        ("kind: gbm", "kind: gmb", ":4:.*model.process.kind: unknown kind 'gmb'; did you mean 'gbm'"),
        ("horizon: 0.25", "horizon: 0", ":6:.*model.horizon: must be positive and finite, got 0"),
        ("quantity: knock_in", "quantity: knockin", ":7:.*model.quantity: .*did you mean 'knock_in'"),
        ("barrier: 85", "barrier: 95", ":8:.*model.barrier: is hit already"),
        ("barrier: 85", "barier: 85", ":8:.*model: unknown key 'barier'; did you mean 'barrier'"),
    ],
)
def test_a_config_says_where_it_is_wrong(before, after, message, tmp_path):
    path = tmp_path / "path.yaml"
    path.write_text(CONFIG.replace(before, after))
    with pytest.raises(ConfigError, match=message):
        configs.load(path).experiment()
