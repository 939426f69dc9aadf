"""One ordinary call of each function that takes ``base``: for the tests that hold of all of them."""

import functools

import numpy as np

from raresim import Mixture, Normal, StudentT
from raresim import information as info

P, Q = [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]
TABLE = [[0.1, 0.2], [0.3, 0.4]]
NORMALS = ([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]], [1.0, 0.0], [[3.0, -0.2], [-0.2, 1.5]])
T, Z = StudentT(dof=4.0), Normal(mean=0.5, std=1.5)
PAIR = Mixture(weights=[0.4, 0.6], components=[Normal(mean=0.0), Normal(mean=2.0, std=0.5)])
EVEN = Mixture(weights=[0.5, 0.5], components=[Normal(mean=0.5), Normal(mean=2.0, std=0.7)])
X = np.array([[0.3], [-1.2], [2.5]])
BELIEFS = [[0.2, 0.8], [0.5, 0.5]]

_FEW = {"draws": 2000}


def _call(f, *arguments, **options):
    return functools.partial(f, *arguments, **options)


CALLS = {
    "self_information": _call(info.self_information, 0.01),
    "entropy": _call(info.entropy, P),
    "joint_entropy": _call(info.joint_entropy, TABLE),
    "conditional_entropy": _call(info.conditional_entropy, TABLE),
    "mutual_information": _call(info.mutual_information, TABLE),
    "cross_entropy": _call(info.cross_entropy, P, Q),
    "kl": _call(info.kl, P, Q),
    "jensen_shannon": _call(info.jensen_shannon, P, Q),
    "renyi": _call(info.renyi, P, Q, 3.0),
    "classification_loss": _call(info.classification_loss, [1, 0], probabilities=BELIEFS),
    "mean_classification_loss": _call(info.mean_classification_loss, [1, 0], probabilities=BELIEFS),
    "entropy_normal": _call(info.entropy_normal, NORMALS[1]),
    "kl_normal": _call(info.kl_normal, *NORMALS),
    "cross_entropy_normal": _call(info.cross_entropy_normal, *NORMALS),
    "renyi_normal": _call(info.renyi_normal, *NORMALS, 0.5),
    "differential_entropy": _call(info.differential_entropy, PAIR),
    "cross_entropy_of_laws": _call(info.cross_entropy_of_laws, T, Z, **_FEW),
    "kl_of_laws": _call(info.kl_of_laws, T, Z, **_FEW),
    "jensen_shannon_of_laws": _call(info.jensen_shannon_of_laws, T, Z, **_FEW),
    "renyi_of_laws": _call(info.renyi_of_laws, T, Z, 0.5, **_FEW),
    "negative_log_likelihood": _call(info.negative_log_likelihood, T, X),
    "empirical_cross_entropy": _call(info.empirical_cross_entropy, T, X),
    "mixture_entropy_bounds": _call(info.mixture_entropy_bounds, PAIR),
    "mixture_kl_bound": _call(info.mixture_kl_bound, PAIR, EVEN),
}


def numbers(answer):
    """The amounts of information in what a function returned."""
    if isinstance(answer, info.Quantity):
        return np.array([answer.value, answer.std_error])
    return np.atleast_1d(answer)
