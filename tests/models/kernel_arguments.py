"""Arguments of the models' kernels, for the comparison of each with its Python source in tests/numerics/test_jit.py."""

import numpy as np

from raresim.models.obligors.default_scores import Scored
from raresim.models.obligors.moves import Moves
from raresim.models.own_risk import Book
from tests.helpers import block, normals

N, M = 300, 8  # rows, more than one tile of them; obligors
LEVEL = 5.0
LEVELS = np.array([-np.inf, 1.0, LEVEL, 50.0])  # without a twist, usual, rare, and out of reach

# Obligors 2 to 6: nothing is lost, or default is impossible, certain, or so where the shock is not large.
BARRIER = np.array([1.0, 0.3, 0.5, np.inf, -np.inf, 60.0, 36.0, -0.4])
MONEY = np.array([1.0, 0.7, 0.0, 0.4, 0.3, 0.6, 9.0, 1.2])
A, B = np.array([0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 2.5]), np.array([0.0, 1.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8])


def book(shock):
    """Loadings on the first two factors: on both, one or none."""
    ptr, column = np.array([0, 2, 3, 4, 5, 6, 7, 8, 8]), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    load = np.array([0.4, -0.3, 0.6, 0.5, 0.2, 0.3, 0.4, 0.5])
    return Book(ptr, column, load, BARRIER.copy(), np.linspace(1.0, 1.4, M), shock, MONEY.copy(), A.copy(), B.copy())


def rows(order="F"):
    """Two normal factors and a shock from a tenth to a thousand."""
    x = normals(N, 3, 820)
    x[:, 2] = 10.0 ** np.linspace(-1.0, 3.0, N)
    return np.asarray(x, order=order)


def seeds(n=N):
    return np.random.default_rng(821).integers(0, 2**64, n, dtype=np.uint64)


def state(seed=0):
    return np.array([seed], dtype=np.uint64)


def chances(n, m):
    """Probabilities of which some are 0, and others 1."""
    return np.asfortranarray(np.clip(np.random.default_rng(822).uniform(-0.2, 1.2, (n, m)), 0.0, 1.0))


def moves():
    """Rating of each obligor; barriers that fall from default to the best, and what is lost at each."""
    barrier = np.array([[2.0, 1.5, 0.8], [1.0, 0.5, -0.8], [np.inf, 0.4, -np.inf]])
    change = np.array([[0.3, 0.1, 0.0], [0.2, 0.0, -0.1], [0.0, -0.2, -0.3]])
    rating = np.arange(M) % 3
    return Moves(rating, barrier, np.column_stack([MONEY, (MONEY + 0.1)[:, None] * change[rating]]))


def outcomes():
    """Probabilities and losses of three outcomes of each of four obligors; some are impossible."""
    p = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5], [0.3, 0.7, 0.0], [1e-9, 0.0, 1.0]])
    return p, np.array([[1.0, 0.5, -0.1], [9.0, 0.1, 0.0], [0.0, -0.5, -1.0], [70.0, 1.0, 0.0]])


def lattice():
    """Units lost at default, the share of one more, and the order in which obligors are added."""
    first, share = np.array([2, 1, 0, 1, 0, 1, 17, 3]), np.array([0.0, 0.4, 0.0, 0.0, 0.6, 0.2, 0.5, 0.0])
    return first, share, np.argsort(first + share, kind="stable")


def migration(word, k):
    """One obligor's arguments."""
    return np.uint64(word), -0.2, k, 1.3, book(2), moves(), state()


def correlation():
    """Of pairs of obligors, of which one is not correlated."""
    r = np.full((M, M), 0.3) - 0.02 * np.add.outer(np.arange(M), np.arange(M))
    r[1, 0] = r[0, 1] = 0.0
    return r


REJECTED = 684  # a generator of which both of a draw's tests reject a number before one is kept
COUNT = np.array([3.0, 0.0, 1.0, 8.0, 0.0, 2.0])
NODES = np.polynomial.legendre.leggauss(12)
PERIOD = np.random.default_rng(823).integers(0, COUNT.size, N)
CLAIM = np.random.default_rng(824).lognormal(size=N)
SOME = np.array([1, 5, 7])  # of the obligors
HERE = np.array([0.2, -0.1, 1.5])  # a row of factors

# Arguments of each kernel, by its own names; made anew for every call.
ARGUMENTS = {
    "_line_seeds": lambda: (seeds(), np.uint64(3), np.empty(N, np.uint64)),
    "add_claims": lambda: (
        PERIOD,
        CLAIM,
        np.array([0.0, 1.0, 2.0]),
        np.array([1.0, np.inf, 0.5]),
        np.zeros(COUNT.size),
        block(COUNT.size, 3, 0.0),
        np.zeros(COUNT.size),
    ),
    "chances_of": lambda: (HERE, book(2), moves(), 2, np.empty(4), np.empty(3)),
    "choices_of": lambda: (seeds(), np.array([0.2, 0.2, 0.7, 1.0]), np.empty(N, np.int64)),
    "conditional_tails": lambda: (rows("C"), book(2), *lattice(), np.array([0, 3, 20]), np.empty((N, 3))),
    "cumulants": lambda: (np.array([0.1, 0.0, 0.9, 1e-9]), np.array([1.0, 1.0, 0.1, 70.0]), 10.0, np.empty(3)),
    "default_losses": lambda: (rows(), seeds(), book(2), np.empty(N)),
    "default_parts": lambda: (rows(), seeds(), book(-1), SOME, block(N, 3)),
    "default_scores": lambda: (
        rows(),
        chances(N, 3).round(),
        book(2),
        Scored(np.linspace(0.2, 0.5, M), np.linspace(0.0, 0.4, M), np.arange(M) % 2),
        SOME,
        block(N, 2, 0.0),
        block(N, 2, 0.0),
    ),
    "exceeds": lambda: (np.uint64(2**63 - 2**12), 0.0),  # between the table's ends
    "joint_losses": lambda: (BARRIER, MONEY, correlation(), 0.5 * (NODES[0] + 1.0), 0.5 * NODES[1]),
    "lattice_law": lambda: (rows("C"), np.linspace(0.0, 0.01, N), book(-1), *lattice(), np.zeros(16)),
    "log_gamma_draw": lambda: (0.4, state(REJECTED)),
    "log_mills": lambda: (31.0,),
    "losses_given": lambda: (seeds(), chances(N, M), book(-1), MONEY, np.empty(N), np.empty(N)),
    "migration_losses": lambda: (rows(), seeds(), book(2), moves(), np.empty(N)),
    "migration_parts": lambda: (rows(), seeds(), book(-1), moves(), SOME, block(N, 3)),
    "mixed": lambda: (np.uint64(2**64 - 825),),
    "move_chances": lambda: (HERE, book(2), moves(), np.empty((M, 4)), np.empty((M, 3))),
    "move_cumulants": lambda: (*outcomes(), 10.0, np.empty(3)),
    "move_tail_laws": lambda: (rows("C"), book(2), moves(), LEVEL, np.empty(N), np.empty(N), np.empty((N, 3))),
    "move_twist": lambda: (*outcomes(), 2.0, np.empty(3)),
    "move_twists": lambda: (rows("C"), book(2), moves(), LEVELS, np.empty((N, 4)), np.empty((N, 4))),
    "moved_losses": lambda: (rows("C"), seeds(), book(-1), moves(), np.linspace(0, 9, N), np.empty(N), np.empty(N)),
    "moved_parts": lambda: (rows("C"), seeds(), book(-1), moves(), np.linspace(0, 9, N), SOME, block(N, 3)),
    "next_scores": lambda: (
        COUNT,
        np.linspace(-1.0, 3.0, COUNT.size),
        seeds(COUNT.size),
        np.array([0.3, -0.8]),
        np.array([0, 1]),
        np.empty(int(COUNT.sum()) - 1, np.int64),
        np.empty(int(COUNT.sum()) - 1),
    ),
    "next_uniform": lambda: (state(),),
    "outcome_of": lambda: (np.uint64(2**63), *(each[0] for each in outcomes()), 1.5),
    "part_of": lambda: migration(2**50, 1),
    "picks_of": lambda: (seeds(), np.array([0.3, 0.0, 0.5, 0.2]), np.empty(N, np.int64)),
    "score_of": lambda: (HERE, 1.0 / 1.5, book(2), 1),
    "probabilities": lambda: (HERE, book(2), np.empty(M), np.empty(M)),
    "recursion": lambda: (np.array([0.1, 0.5, 0.3, 0.0, 1.0, 0.2, 0.05, 0.4]), *lattice(), np.empty(7)),
    "seeds_of": lambda: (normals(N, 1, 826)[:, 0].copy(), np.empty(N, np.uint64)),
    "lost": lambda: (np.uint64(2**64 - 827), 3.0, 0.6, 2.5, state()),
    "saddle_point_tail": lambda: (0.3, np.array([2.5, 9.0, 4.0]), LEVEL),
    "severity_draw": lambda: (np.uint64(2**64 - 827), 0.6, 2.5, state()),
    "tail_laws": lambda: (rows("C"), book(2), MONEY, LEVEL, np.empty(N), np.empty(N), np.empty((N, 3))),
    "taus": lambda: (rows(), 7, 200, 0, book(2), np.zeros(256)),
    "top_exponent": lambda: (*(each[3] for each in outcomes()), 2.0),
    "twist": lambda: (np.array([0.1, 0.0, 0.9, 1e-9]), np.array([1.0, 1.0, 0.1, 7.0]), LEVEL, np.empty(3)),
    "twisted_parts": lambda: (
        rows("C"),
        seeds(),
        np.linspace(0.0, 9.0, N),
        book(2),
        MONEY,
        SOME,
        block(N, 3),
    ),
    "twisted": lambda: (
        rows("C"),
        book(2),
        MONEY,
        LEVELS,
        np.arange(N) % 4,
        np.empty((N, M)),
        np.empty((N, 4)),
        np.empty((N, 4)),
    ),
    "step_of": lambda: (5,),
    "word_of": lambda: (np.uint64(2**64 - 828), 5),
}
