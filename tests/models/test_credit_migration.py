"""Migration mode: matrices of transitions, and the law of the rating at the horizon."""

import math
import shutil

import numpy as np
import pytest

from raresim.config import load as configs
from raresim.errors import ConfigError, DataError, FieldError
from raresim.models import Credit
from tests.helpers import ROOT, block, losses, normals
from tests.models.test_credit import Table
from tests.statistical import assert_within_error

MATRIX = "from,A,B,C,D\nA,0.9,0.07,0.03,0\nB,0.1,0.7,0.15,0.05\nC,0.02,0.08,0.7,0.2\nD,0,0,0,1\n"
TAPES = ROOT / "configs" / "credit"
VALUES = {"A": 1.0, "B": 0.95, "C": 0.8}


def rated(columns=None, **options):
    """Forty obligors with ratings."""
    table = Table(id=range(40), ead=[1.0 + i % 4 for i in range(40)], rating=["A", "BBB", "BB", "B"] * 10)
    given = {"transitions": TAPES / "transitions.csv", "rho": 0.3} | ({} if columns else {"lgd": 0.5})
    given |= {} if "spreads" in options else {"values": {"A": 1.1, "BBB": 1.05, "BB": 1.0, "B": 0.8}}
    return Credit(tape=Table(table, **(columns or {})), **(given | options))


@pytest.fixture
def small(tmp_path):
    def make(matrix=MATRIX, values=VALUES, columns=None, **options):
        path = tmp_path / "matrix.csv"
        path.write_text(matrix)
        table = Table(id=[1, 2, 3], ead=[10.0, 20.0, 40.0], rating=["A", "B", "C"], **(columns or {}))
        return Credit(tape=table, transitions=path, values=values, **({"lgd": 0.5, "rho": 0.3} | options))

    return make


@pytest.mark.statistical(effect=0.15, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("options", [{}, {"copula": "t", "dof": 4.0}], ids=["gaussian", "t"])
def test_ratings_change_with_their_probabilities(small, options, seed):
    """Each obligor alone: the loss tells where it went."""
    model, n = small(**options), 200_000
    u = normals(n, model.inputs.latent_dim, seed(940))
    parts = model.loss.components(model.inputs.to_physical(u, block(n, model.inputs.dim)))
    table = {0: [0.9, 0.07, 0.03, 0.0], 1: [0.1, 0.7, 0.15, 0.05], 2: [0.02, 0.08, 0.7, 0.2]}
    worth, ead = np.array([1.0, 0.95, 0.8]), [10.0, 20.0, 40.0]
    for k, probabilities in table.items():
        outcomes = [*(ead[k] * (worth[k] - worth)), ead[k] * 0.5]
        for loss, p in zip(outcomes, probabilities, strict=True):
            share = (np.abs(parts[:, k] - loss) < 1e-9).mean()
            if p == 0.0:
                assert share == 0.0
            elif p >= 0.03:
                assert_within_error(share, p, math.sqrt(p * (1 - p) / n))
    np.testing.assert_allclose(
        parts.sum(axis=1), losses(model.loss, model.inputs.to_physical(u, block(n, model.inputs.dim)))
    )


def test_default_alone_is_default_mode(small, seed):
    """Where all ratings are worth the same, the losses are those of the same obligors in default mode, row by row."""
    model = small(values=dict.fromkeys("ABC", 1.0))
    plain = Credit(tape=Table(id=[1, 2, 3], ead=[10.0, 20.0, 40.0], pd=[0.0, 0.05, 0.2]), lgd=0.5, rho=0.3)
    x = normals(2000, 2, seed(941))
    np.testing.assert_array_equal(losses(model.loss, x), losses(plain.loss, x))
    assert model.obligors.expected_loss == plain.obligors.expected_loss


def test_rounded_rows_are_divided_by_their_sums_and_it_is_said(small):
    model = small(MATRIX.replace("0.9,0.07", "0.9002,0.07"))
    assert model.moves.probability.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-15)
    assert "rows of matrix.csv were off 1 by up to 0.0002: each was divided by its sum" in model.notes()
    assert "the last column of matrix.csv, D, is default" in model.notes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.9,0.07", "0.91,0.07", "matrix.csv:2: the probabilities of 'A' add up to 1.01: must be 1 within 0.001"),
        ("0.7,0.15", "1.7,0.15", "matrix.csv:3:B: must be between 0 and 1, got 1.7"),
        ("0.7,0.15", "x,0.15", "matrix.csv:3:B: must be a finite number with a decimal point, got 'x'"),
        ("C,0.02,0.08,0.7,0.2\n", "", "matrix.csv: has a column for 'C' but no row"),
        ("\nC,", "\nE,", "matrix.csv:4:from: unknown rating 'E' (allowed: A, B, C, D)"),
    ],
)
def test_a_wrong_matrix_is_refused_with_its_place(small, old, new, message):
    with pytest.raises(DataError) as caught:
        small(MATRIX.replace(old, new, 1))
    assert message in str(caught.value)


def test_ratings_and_values_fit_the_matrix(small):
    with pytest.raises(FieldError, match=r"^values: must have a number for each rating, lacks C"):
        small(values={"A": 1.0, "B": 0.9}).loss.describe()
    with pytest.raises(FieldError, match=r"^values: unknown rating 'E'"):
        small(values=VALUES | {"E": 0.1}).loss.describe()
    with pytest.raises(FieldError, match=r"^transitions: must be left out, or the column pd: both say the pd"):
        small(columns={"pd": [0.1] * 3})
    with pytest.raises(FieldError, match=r"^values: is required beside transitions"):
        small(values=None)
    with pytest.raises(DataError, match=r"tape:2:rating: unknown rating 'C'"):
        small("from,A,B,D\nA,0.9,0.1,0\nB,0,1,0\n", {"A": 1.0, "B": 1.0})


@pytest.mark.statistical(effect=0.1, false_fail=1e-6, false_pass=1e-3)
def test_expected_loss_is_that_of_draws(small, seed):
    model, n = small(), 200_000
    (control,) = model.controls([], None)
    loss = losses(model.loss, normals(n, 2, seed(943)))
    assert_within_error(loss.mean() / control.value, 1.0, loss.std() / control.value / math.sqrt(n))


def test_spreads_are_discounted_over_the_years_that_remain(small):
    """A bond of C that falls due in two years, and one of A in four, against zero bonds."""
    spreads = {"A": 0.01, "B": 0.02, "C": 0.08}
    model = small(values=None, spreads=spreads, columns={"maturity": [4.0, 1.0, 2.0]})
    lost = model.loss.moves.amount
    np.testing.assert_allclose(lost[0, 1:], [10 * (1 - math.exp(-0.07 * 4)), 10 * (1 - math.exp(-0.01 * 4)), 0.0])
    np.testing.assert_allclose(lost[2, 1:], [0.0, 40 * (1 - math.exp(0.06 * 2)), 40 * (1 - math.exp(0.07 * 2))])
    np.testing.assert_array_equal(lost[:, 0], [5.0, 10.0, 20.0])
    one = small(values=None, spreads=spreads, maturity=2.0)
    np.testing.assert_array_equal(one.loss.moves.amount[2], lost[2])
    named = small(values=None, spreads=spreads, columns={"duration": [4.0, 1.0, 2.0]})
    np.testing.assert_array_equal(named.loss.moves.amount, lost)
    assert "column duration of tape is read as maturity" in named.notes()


def test_a_column_of_maturities_is_like_any_other_without_spreads(small):
    model = small(columns={"maturity": ["long", "short", "long"]})
    assert model.loss.component_groups("maturity") == ("long", "short", "long")


SPREADS = {"A": 0.01, "B": 0.02, "C": 0.08}

OF_SPREADS = {
    "both": ({"values": VALUES, "maturity": 1.0}, "spreads: must be left out where values says what each rating"),
    "no maturity": ({}, "tape: a column maturity is required, got id, ead, rating; rename it, or say which it is by"),
    "negative": ({"maturity": -1.0}, "maturity: must be a number of years of at least 0, got -1"),
    "unknown": ({"spreads": SPREADS | {"X": 0.1}, "maturity": 1.0}, "spreads: unknown rating 'X'"),
    "lacking": ({"spreads": {"A": 0.01}, "maturity": 1.0}, "spreads: must have a number for each rating, lacks B, C"),
    "basis points": (
        {"spreads": SPREADS | {"C": 800.0}, "maturity": 1.0},
        "spreads: must be fractions a year between -1 and 1, got 800 for C; is it in per cent or in basis points?",
    ),
    "not finite": ({"spreads": SPREADS | {"C": math.nan}, "maturity": 1.0}, "spreads: must be finite numbers, got nan"),
    "twice": ({"maturity": 1.0, "columns": {"maturity": [1.0] * 3}}, "maturity: must be left out: tape has the column"),
    "cell": ({"columns": {"maturity": [1.0, -2.0, 1.0]}}, "tape:1:maturity: must be at least 0, got -2"),
}


@pytest.mark.parametrize(("options", "message"), OF_SPREADS.values(), ids=OF_SPREADS)
def test_what_is_wrong_with_spreads_is_said(small, options, message):
    with pytest.raises((FieldError, DataError)) as caught:
        small(**({"values": None, "spreads": SPREADS} | options))
    assert str(caught.value).startswith(message)


def test_a_maturity_belongs_to_spreads(small):
    with pytest.raises(FieldError, match=r"^maturity: must be left out where there are no spreads"):
        small(maturity=2.0)
    with pytest.raises(FieldError, match=r"^transitions: is required beside spreads"):
        Credit(tape=Table(id=[1], ead=[1.0], pd=[0.1]), lgd=0.5, rho=0.1, spreads={"A": 0.1})


RATINGS = """\
seed: 1
model: {{kind: credit, tape: rated.csv, transitions: transitions.csv, spreads: {spreads}}}
measures: [{{kind: value_at_risk, level: 0.99}}]
stop: {{relative_error: 0.1}}
"""


def test_a_config_has_spreads_and_a_wrong_one_is_named_by_its_place(tmp_path):
    for name in ("rated.csv", "transitions.csv"):
        shutil.copy(TAPES / name, tmp_path)
    path = tmp_path / "ratings.yaml"
    path.write_text(RATINGS.format(spreads="{A: 0.01, BBB: 0.02, BB: 0.04, B: 0.08}"))
    model = configs.load(path).experiment().model
    first = model.loss.moves.amount[0]  # of rating A, 4,000, a year to its maturity
    np.testing.assert_allclose(first[1:], 4000 * -np.expm1([-0.07, -0.03, -0.01, 0.0]))
    path.write_text(RATINGS.format(spreads="{A: 0.01, BBB: 0.02, BB: 0.04, B: 8.0}"))
    with pytest.raises(ConfigError, match=r"ratings.yaml:2:\d+: model.spreads: must be fractions .* got 8 for B"):
        configs.load(path).experiment()
