"""Every argument that is refused, with the text that says why and what is allowed."""

import functools
import math
import re

import numpy as np
import pytest

from raresim import LowRankNormal, Mixture, Normal, StandardNormal, StudentT
from raresim import information as info
from raresim.errors import FieldError

P, Q = [0.25, 0.75], [0.5, 0.5]
TABLE = [[0.1, 0.2], [0.3, 0.4]]
NOT_DEFINITE = [[1.0, 2.0], [2.0, 1.0]]
T = StudentT(dof=4.0)
ONE, TWO = Normal(mean=0.0), Normal(mean=[0.0, 1.0])
EVEN = functools.partial(Mixture, weights=[0.5, 0.5])
MIXED = EVEN(components=[ONE, ONE])
HEAVY = EVEN(components=[T, T])
ZERO, AXES = np.zeros(3), np.eye(3)

LAWS = {
    "negative": ([-0.1, 1.1], "must be probabilities, none negative, got -0.1"),
    "NaN": ([math.nan, 1.0], "must be probabilities, none negative, got nan"),
    "infinite": ([math.inf, 0.0], "must add to 1 within 1e-08, got inf"),
    "too much": ([0.5, 0.5 + 1e-7], "must add to 1 within 1e-08, got 1.0000001"),
    "too little": ([0.5, 0.5 - 1e-7], "must add to 1 within 1e-08, got 0.9999999"),
    "counts": ([2, 3], "must add to 1 within 1e-08, got 5"),
    "empty": ([], "must not be empty"),
}

ONE_LAW = {"entropy": info.entropy, "perplexity": info.perplexity}
TABLES = {
    "joint_entropy": info.joint_entropy,
    "conditional_entropy": info.conditional_entropy,
    "mutual_information": info.mutual_information,
}
PAIRS = {
    "cross_entropy": info.cross_entropy,
    "kl": info.kl,
    "jensen_shannon": info.jensen_shannon,
    "renyi": lambda p, q: info.renyi(p, q, 2.0),
    "renyi near one": lambda p, q: info.renyi(p, q, 1.0),
    "chi_square": info.chi_square,
}
NORMALS = {
    "kl_normal": info.kl_normal,
    "cross_entropy_normal": info.cross_entropy_normal,
    "renyi_normal": lambda *a: info.renyi_normal(*a, 0.5),
    "chi_square_normal": info.chi_square_normal,
}
OF_LAWS = {
    "cross_entropy_of_laws": info.cross_entropy_of_laws,
    "kl_of_laws": info.kl_of_laws,
    "jensen_shannon_of_laws": info.jensen_shannon_of_laws,
    "renyi_of_laws": lambda p, q: info.renyi_of_laws(p, q, 0.5),
    "chi_square_of_laws": info.chi_square_of_laws,
}
LOSSES = {"classification_loss": info.classification_loss, "mean_classification_loss": info.mean_classification_loss}


def refused(call, message):
    """``call`` raises a ValueError that says ``message`` and nothing else."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$") as caught:
        call()
    assert isinstance(caught.value, FieldError)


# --- finite laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ONE_LAW)
def test_not_a_law(name, law):
    p, message = LAWS[law]
    refused(lambda: ONE_LAW[name](p), f"p: {message}")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", TABLES)
def test_not_a_joint_law(name, law):
    p, message = LAWS[law]
    refused(lambda: TABLES[name]([p]), f"table: {message}")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", PAIRS)
def test_neither_of_two_laws_may_be_wrong(name, law):
    p, message = LAWS[law]
    refused(lambda: PAIRS[name](p, Q), f"p: {message}")
    refused(lambda: PAIRS[name](Q, p), f"q: {message}")


@pytest.mark.parametrize("name", PAIRS)
def test_laws_have_one_shape(name):
    refused(lambda: PAIRS[name](P, [0.2, 0.3, 0.5]), "q: must have the shape of p, (2,), got (3,)")
    refused(lambda: PAIRS[name](TABLE, np.full(4, 0.25)), "q: must have the shape of p, (2, 2), got (4,)")


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_two_dimensions(name):
    refused(lambda: TABLES[name](P), "table: must have two dimensions, table[x, y], got 1")


@pytest.mark.parametrize("p", [-1e-9, 1.0 + 1e-9, math.nan, math.inf])
def test_probability_of_an_event(p):
    refused(lambda: info.self_information(p), f"p: must be from 0 to 1, got {p:.15g}")


@pytest.mark.parametrize("log_p", [1e-9, math.nan, math.inf])
def test_log_probability_of_an_event(log_p):
    refused(lambda: info.self_information(log_p=log_p), f"log_p: must be at most 0, got {log_p}")


def test_an_event_has_one_probability():
    refused(lambda: info.self_information(0.5, log_p=-1.0), "p: give exactly one of p and log_p")
    refused(info.self_information, "p: give exactly one of p and log_p")
    refused(lambda: info.budget(math.nan, 1.0), "log_p: must be at most 0, got nan")


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_order_is_positive(alpha):
    message = f"alpha: must be positive, got {alpha:g}"
    refused(lambda: info.renyi(P, Q, alpha), message)
    refused(lambda: info.renyi_normal([0.0], [1.0], [1.0], [1.0], alpha), message)
    refused(lambda: info.renyi_of_laws(T, ONE, alpha), message)


# --- labels ------------------------------------------------------------------------------------------

LABELS = {
    "too large": ([0, 2], "must be from 0 to 1, got 2"),
    "negative": ([-1, 0], "must be from 0 to 1, got -1"),
    "broken": ([0.5, 1.0], "must be whole numbers, got float64"),
    "truth values": ([True, False], "must be whole numbers, got bool"),
    "too few": ([0], "must have shape (2,) or (2, 2), got (1,)"),
    "too wide": (np.eye(3)[:2], "must have shape (2,) or (2, 2), got (2, 3)"),
    "two ones": ([[1, 1], [0, 1]], "must be one-hot rows: a single 1 in each, else 0"),
    "no one": ([[0, 0], [0, 1]], "must be one-hot rows: a single 1 in each, else 0"),
    "soft": ([[0.5, 0.5], [0, 1]], "must be one-hot rows: a single 1 in each, else 0"),
    "NaN": ([[math.nan, 1], [0, 1]], "must be one-hot rows: a single 1 in each, else 0"),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_not_labels(name, labels):
    y, message = LABELS[labels]
    refused(lambda: LOSSES[name](y, probabilities=[Q, P]), f"labels: {message}")
    refused(lambda: LOSSES[name](y, logits=[[0.0, 1.0]] * 2), f"labels: {message}")


BELIEFS = {
    "negative": ([[-0.1, 1.1]], "must not be negative or NaN"),
    "NaN": ([[math.nan, 1.0]], "must not be negative or NaN"),
    "sum": ([Q, [0.5, 0.6]], "must add to 1 in each row within 1e-08, got 1.1 in row 1"),
    "one row": (Q, "must have shape (n, k), got (2,)"),
    "empty": (np.empty((0, 2)), "must have shape (n, k), got (0, 2)"),
}


@pytest.mark.parametrize("beliefs", BELIEFS)
@pytest.mark.parametrize("name", LOSSES)
def test_not_beliefs(name, beliefs):
    q, message = BELIEFS[beliefs]
    refused(lambda: LOSSES[name]([0] * len(q), probabilities=q), f"probabilities: {message}")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", LOSSES)
def test_logits_are_numbers(name, bad):
    message = "logits: must not be NaN or +infinity, nor all -infinity in a row"
    refused(lambda: LOSSES[name]([0, 0], logits=[[0.0, 1.0], [bad, 0.0]]), message)
    refused(lambda: LOSSES[name]([0], logits=[[-math.inf, -math.inf]]), message)
    refused(lambda: LOSSES[name]([0], logits=[0.0, 1.0]), "logits: must have shape (n, k), got (2,)")


@pytest.mark.parametrize("name", LOSSES)
def test_beliefs_are_given_once(name):
    message = "probabilities: give exactly one of probabilities and logits"
    refused(lambda: LOSSES[name]([0]), message)
    refused(lambda: LOSSES[name]([0], probabilities=[Q], logits=[Q]), message)


# --- normal laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NORMALS)
def test_covariances_are_positive_definite(name):
    good = np.eye(2)
    message = "must be positive definite, got a matrix with smallest eigenvalue -1"
    refused(lambda: NORMALS[name](0.0, NOT_DEFINITE, 0.0, good), f"cov_p: {message}")
    refused(lambda: NORMALS[name](0.0, good, 0.0, NOT_DEFINITE), f"cov_q: {message}")
    refused(lambda: NORMALS[name](0.0, [1.0, 0.0], 0.0, good), "cov_p: must be positive, got 0")
    refused(lambda: NORMALS[name](0.0, good, 0.0, [1.0, -2.0]), "cov_q: must be positive, got -2")


@pytest.mark.parametrize("name", NORMALS)
def test_moments_have_one_size(name):
    call = NORMALS[name]
    refused(lambda: call(0.0, [1.0, 1.0], 0.0, np.eye(3)), "cov_q: must have the size of cov_p, 2, got 3")
    refused(lambda: call([0.0] * 3, [1.0, 1.0], 0.0, [1.0, 1.0]), "mean_p: must have 2 entries, got 3")
    refused(lambda: call(0.0, np.eye(2), [0.0] * 3, np.eye(2)), "mean_q: must have 2 entries, got 3")
    refused(lambda: call(0.0, np.ones((2, 3)), 0.0, np.eye(2)), "cov_p: must be a square matrix, got shape (2, 3)")


@pytest.mark.parametrize("name", NORMALS)
def test_moments_are_finite_and_covariances_symmetric(name):
    call, good = NORMALS[name], np.eye(2)
    refused(lambda: call([0.0, math.nan], good, 0.0, good), "mean_p: must be finite, got NaN or infinity")
    refused(lambda: call(0.0, good, 0.0, [math.inf, 1.0]), "cov_q: must be finite, got NaN or infinity")
    lopsided = [[1.0, 0.5], [0.0, 1.0]]
    refused(lambda: call(0.0, lopsided, 0.0, good), "cov_p: must be symmetric, got 0.5 at [0][1] and 0 at [1][0]")


def test_covariance_of_an_entropy():
    message = "cov: must be positive definite, got a matrix with smallest eigenvalue -1"
    refused(lambda: info.entropy_normal(NOT_DEFINITE), message)
    refused(lambda: info.entropy_normal([1.0, -1.0]), "cov: must be positive, got -1")


SIZES = "must be a mean (d,), directions (d, k) and variances (k,), got shapes"
LOW_RANK = {
    "rows": ((ZERO, AXES[:2, :1], [2.0]), f"{SIZES} (3,), (2, 1) and (1,)"),
    "columns": ((ZERO, AXES[:, :1], [2.0, 3.0]), f"{SIZES} (3,), (3, 1) and (2,)"),
    "a vector": ((ZERO, AXES[0], [2.0]), f"{SIZES} (3,), (3,) and (1,)"),
    "negative": ((ZERO, AXES[:, :1], [-2.0]), "must have positive variances, got -2"),
    "NaN": ((ZERO, AXES[:, :1], [math.nan]), "must have positive variances, got nan"),
    "slanted": ((ZERO, np.ones((3, 1)), [2.0]), "must have orthonormal directions, got a product off by 2"),
}


@pytest.mark.parametrize("case", LOW_RANK)
def test_not_a_low_rank_law(case):
    good = (ZERO, AXES[:, :1], np.array([2.0]))
    law, message = LOW_RANK[case]
    refused(lambda: info.kl_low_rank(law, good), f"p: {message}")
    refused(lambda: info.kl_low_rank(good, law), f"q: {message}")


def test_low_rank_laws_have_one_dimension():
    small, large = (np.zeros(1), np.zeros((1, 0)), np.zeros(0)), (np.zeros(5), np.zeros((5, 0)), np.zeros(0))
    refused(lambda: info.kl_low_rank(small, large), "q: must have the dimension of p, 1, got 5")


# --- distributions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [(ONE, TWO), (T, TWO), (ONE, StudentT(dof=3.0, dim=2)), (T, StandardNormal(dim=2))])
@pytest.mark.parametrize("name", OF_LAWS)
def test_laws_have_one_dimension(name, pair):
    refused(lambda: OF_LAWS[name](*pair), "q: must have the dimension of p, 1, got 2")


@pytest.mark.parametrize("draws", [1, 0, -5])
def test_monte_carlo_has_draws(draws):
    refused(lambda: info.kl_of_laws(T, ONE, draws=draws), f"draws: must be at least 2, got {draws}")


@pytest.mark.parametrize("f", [info.negative_log_likelihood, info.empirical_cross_entropy])
def test_samples_are_rows_of_numbers(f):
    refused(lambda: f(TWO, np.zeros((4, 3))), "x: must have shape (n, 2), got (4, 3)")
    refused(lambda: f(ONE, np.zeros(4)), "x: must have shape (n, 1), got (4,)")
    refused(lambda: f(ONE, np.array([[0.0], [math.nan]])), "x: must be finite, got NaN or infinity")


def test_average_needs_a_row():
    refused(lambda: info.empirical_cross_entropy(ONE, np.empty((0, 1))), "x: must have at least one row")
    assert info.negative_log_likelihood(ONE, np.empty((0, 1))) == 0.0


def test_bounds_are_of_mixtures_of_normal_laws():
    message = "components: must be normal laws, got student_t"
    refused(lambda: info.mixture_entropy_bounds(HEAVY), message)
    refused(lambda: info.mixture_kl_bound(MIXED, HEAVY), message)


def test_bound_pairs_components():
    single, plane = Mixture(weights=[1.0], components=[ONE]), EVEN(components=[TWO, TWO])
    refused(lambda: info.mixture_kl_bound(MIXED, single), "q: must have as many components as p (2), got 1")
    refused(lambda: info.mixture_kl_bound(MIXED, plane), "cov_q: must have the size of cov_p, 1, got 2")


def test_what_is_accepted_at_the_edge():
    """A control: the refusals above do not come from a check that refuses everything."""
    law = LowRankNormal(mean=[0.0, 0.0], directions=[[1.0], [0.0]], variances=[2.0])
    assert info.kl_of_laws(law, law).value == pytest.approx(0.0, abs=1e-15)
    assert info.entropy([0.5, 0.5 + 9e-9]) == pytest.approx(math.log(2))
    assert info.classification_loss([1], logits=[[-math.inf, 0.0]])[0] == 0.0
    assert info.renyi(P, Q, 5e-324) == pytest.approx(0.0, abs=1e-300)
