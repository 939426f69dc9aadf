"""Migration mode: matrices of transitions, and the law of the rating at the horizon."""

import math

import numpy as np
import pytest

import raresim
from raresim.errors import DataError, FieldError
from raresim.models import Credit
from tests.helpers import block, losses, normals
from tests.models.test_credit import Table
from tests.statistical import assert_within_error

MATRIX = "from,A,B,C,D\nA,0.9,0.07,0.03,0\nB,0.1,0.7,0.15,0.05\nC,0.02,0.08,0.7,0.2\nD,0,0,0,1\n"
VALUES = {"A": 1.0, "B": 0.95, "C": 0.8}


@pytest.fixture
def rated(tmp_path):
    def make(matrix=MATRIX, values=VALUES, columns=None, **options):
        path = tmp_path / "matrix.csv"
        path.write_text(matrix)
        table = Table(id=[1, 2, 3], ead=[10.0, 20.0, 40.0], rating=["A", "B", "C"], **(columns or {}))
        return Credit(tape=table, transitions=path, values=values, **({"lgd": 0.5, "rho": 0.3} | options))

    return make


@pytest.mark.statistical(effect=0.15, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("options", [{}, {"copula": "t", "dof": 4.0}], ids=["gaussian", "t"])
def test_ratings_change_with_their_probabilities(rated, options, seed):
    """Each obligor alone: the loss tells where it went."""
    model, n = rated(**options), 200_000
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


def test_default_alone_is_default_mode(rated, seed):
    """Where all ratings are worth the same, the losses are those of the same obligors in default mode, row by row."""
    model = rated(values=dict.fromkeys("ABC", 1.0))
    plain = Credit(tape=Table(id=[1, 2, 3], ead=[10.0, 20.0, 40.0], pd=[0.0, 0.05, 0.2]), lgd=0.5, rho=0.3)
    x = normals(2000, 2, seed(941))
    np.testing.assert_array_equal(losses(model.loss, x), losses(plain.loss, x))
    assert model.obligors.expected_loss == plain.obligors.expected_loss


def test_rounded_rows_are_divided_by_their_sums_and_it_is_said(rated):
    model = rated(MATRIX.replace("0.9,0.07", "0.9002,0.07"))
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
def test_a_wrong_matrix_is_refused_with_its_place(rated, old, new, message):
    with pytest.raises(DataError) as caught:
        rated(MATRIX.replace(old, new, 1))
    assert message in str(caught.value)


def test_ratings_and_values_fit_the_matrix(rated):
    with pytest.raises(FieldError, match=r"^values: must have a number for each rating, lacks C"):
        rated(values={"A": 1.0, "B": 0.9}).loss.describe()
    with pytest.raises(FieldError, match=r"^values: unknown rating 'E'"):
        rated(values=VALUES | {"E": 0.1}).loss.describe()
    with pytest.raises(FieldError, match=r"^transitions: must be left out, or the column pd: both say the pd"):
        rated(columns={"pd": [0.1] * 3})
    with pytest.raises(FieldError, match=r"^values: is required beside transitions"):
        rated(values=None)
    with pytest.raises(DataError, match=r"tape:2:rating: unknown rating 'C'"):
        rated("from,A,B,D\nA,0.9,0.1,0\nB,0,1,0\n", {"A": 1.0, "B": 1.0})


def test_a_run_in_migration_mode_searches(rated, seed):
    up = raresim.Probability(above=20.0)
    result = raresim.estimate(rated(), measures=up, seed=seed(942), relative_error=0.1)
    assert result.estimates[0].value > 0.1
    assert not any("scheme" in decision for decision in result.search["decisions"])


@pytest.mark.statistical(effect=0.1, false_fail=1e-6, false_pass=1e-3)
def test_expected_loss_is_that_of_draws(rated, seed):
    model, n = rated(), 200_000
    (control,) = model.controls([], None)
    loss = losses(model.loss, normals(n, 2, seed(943)))
    assert_within_error(loss.mean() / control.value, 1.0, loss.std() / control.value / math.sqrt(n))
