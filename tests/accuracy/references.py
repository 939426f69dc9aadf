"""Thresholds and probabilities of the configs with an exact answer, without raresim."""

import numpy as np
from mpmath import mp, mpf
from scipy import stats

mp.dps = 40

FAR = mpf("1e-12")
EACH = mpf("1e-4")
HALF = mpf("0.5")
QUARTER = mpf("0.25")


def solve(log_tail, start):
    """The x with ``log_tail(x) = log 1e-12``."""
    return mp.findroot(lambda x: log_tail(x) - mp.log(FAR), start)


def normal_tail(x):
    return mp.ncdf(-x)


def lognormal_threshold():
    """``exp(u)`` at ``Phi(-u) = 1e-12``."""
    return mp.exp(solve(lambda u: mp.log(normal_tail(u)), 7))


def student_t_threshold():
    """dof 3: the tail is ``1/2 - (atan(y) + y / (1 + y^2)) / pi`` with ``y = x / sqrt(3)``."""
    mp.dps = 60

    def tail(x):
        y = x / mp.sqrt(3)
        return (mp.atan(1 / y) - y / (1 + y * y)) / mp.pi

    return solve(lambda x: mp.log(tail(x)), mpf(5000))


def gamma_threshold():
    """Shape 2.5."""
    return solve(lambda x: mp.log(mp.gammainc(mpf("2.5"), x, mp.inf, regularized=True)), 34)


def weibull_threshold():
    """Shape 0.7: ``(-log q)^(1/0.7)``."""
    return mp.power(-mp.log(FAR), 1 / mpf("0.7"))


def generalised_pareto_threshold():
    """Shape 0.25: ``(q^-0.25 - 1) / 0.25``."""
    return (mp.power(FAR, -QUARTER) - 1) / QUARTER


def nig_tail(x):
    """Normal-inverse Gaussian law of ``a``, ``b``, location 0 and scale 1: the tail by quadrature of the density."""
    a, b = mpf(2), HALF
    g = mp.sqrt(a * a - b * b)

    def density(t):
        r = mp.sqrt(1 + t * t)
        return a * mp.besselk(1, a * r) * mp.exp(g + b * t) / (mp.pi * r)

    # A Bessel function takes 20 ms: Gauss-Legendre rules are exact to 1e-14 with a third of the points of tanh-sinh.
    return mp.quad(density, [x, x + 1, x + 3, x + 8, x + 20, x + 60], method="gauss-legendre")


def pareto_sum(x):
    """``P(X + Y >= x)`` of two independent Pareto laws on [1, inf) with tail ``t^-b``."""
    x, b = mpf(x), 2
    edges = [1, 2, 10, 100, x / 2, x - 100, x - 10, x - 2, x - 1]
    return mp.quad(lambda t: b * t ** (-b - 1) * (x - t) ** (-b), edges) + (x - 1) ** (-b)


def lognormal_sum(x):
    """``P(X_1 + ... + X_4 >= x)`` of independent standard lognormals, from the law of two of them, in doubles.

    With ``S`` the sum of two, the tail of four is ``int f_S(y) P(S > x - y) dy + P(S > x)``; each integral runs over
    the logarithm of the smaller part, by Gauss-Legendre rules on even panels.
    """
    nodes, rule = np.polynomial.legendre.leggauss(20)

    def below(top, panels=60):
        """Points and weights of an integral from almost 0 to each of ``top``, in the logarithm."""
        edges = np.linspace(-14.0, np.log(top), panels + 1)
        half = 0.5 * np.diff(edges, axis=0)
        s = (edges[:-1, None] + half[:, None] * (1 + nodes[:, None])).reshape(-1, np.size(top))
        w = (half[:, None] * rule[:, None]).reshape(-1, np.size(top))
        return np.exp(s), w * np.exp(s)

    one = stats.lognorm(1.0)

    def pdf(y):
        t, w = below(0.5 * y)
        return 2 * (w * one.pdf(t) * one.pdf(y - t)).sum(axis=0)

    def tail(y):
        t, w = below(0.5 * y)
        return (w * one.pdf(t) * (one.sf(y - t))).sum(axis=0) + (w * one.pdf(y - t) * one.sf(t)).sum(axis=0) + one.sf(y)

    y, w = below(np.array([0.5 * x]))
    y, w = y[:, 0], w[:, 0]
    inner = sum(
        (w[k] * (pdf(y[k]) * tail(x - y[k]) + pdf(x - y[k]) * tail(y[k]))).sum()
        for k in np.array_split(np.arange(y.size), 40)
    )
    return float(inner + tail(np.array([float(x)]))[0])


def parabola(x, dim, bend="0.02"):
    """``P(X_1 + bend (X_2^2 + ... + X_d^2) >= x)`` of standard normals, over the chi-square of the squares."""
    shape, bend = mpf(dim - 1) / 2, mpf(bend)

    def density(q):
        return q ** (shape - 1) * mp.exp(-q / 2) / (2**shape * mp.gamma(shape))

    return mp.quad(
        lambda q: normal_tail(mpf(x) - bend * q) * density(q), [0, 1, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 400]
    )


def student_t_joint(dof=4.0, rho=0.5, q=1e-4):
    """``P(all three > their 1 - q quantile)`` of a t copula with one correlation: over mixing and factor."""
    nodes, rule = np.polynomial.legendre.leggauss(40)

    def panels(low, high, count):
        edges = np.linspace(low, high, count + 1)
        half = 0.5 * np.diff(edges)[:, None]
        return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * rule).ravel()

    log_w, weight_w = panels(-40.0, np.log(120.0), 30)
    z, weight_z = panels(-6.0, 14.0, 20)
    w = np.exp(log_w)
    a = stats.t(dof).isf(q) * np.sqrt(w / dof)
    tails = stats.norm.sf((a[:, None] - np.sqrt(rho) * z) / np.sqrt(1 - rho)) ** 3
    given_w = (tails * stats.norm.pdf(z)) @ weight_z
    return float(weight_w @ (given_w * stats.chi2(dof).pdf(w) * w))


def equicorrelated(a, rho):
    """``P(Z_1, Z_2, Z_3 > a)`` of normals with one correlation, from the common factor."""
    root, rest = mp.sqrt(rho), mp.sqrt(1 - rho)
    return mp.quad(lambda z: mp.npdf(z) * normal_tail((a - root * z) / rest) ** 3, mp.linspace(-4, 14, 19))


def gaussian_joint():
    a = mp.findroot(lambda u: normal_tail(u) - EACH, mpf("3.7"))
    return equicorrelated(a, HALF)


def archimedean_joint(generator, inverse):
    """``P(all three > 1 - q)`` by inclusion and exclusion, in enough digits for what cancels."""
    t = inverse(1 - EACH)
    return 1 - 3 * (1 - EACH) + 3 * generator(2 * t) - generator(3 * t)


def clayton_joint():
    return archimedean_joint(lambda t: (1 + t) ** -HALF, lambda u: u**-2 - 1)


def gumbel_joint():
    return archimedean_joint(lambda t: mp.exp(-mp.sqrt(t)), lambda u: mp.log(u) ** 2)


def cantilever_tail(deflection):
    """``load length^3 / (3 modulus inertia)`` is lognormal: the variances of the logs add up."""
    median = mpf(10_000) * mpf("2.5") ** 3 / (3 * mpf("210e9") * mpf("8e-6"))
    spread = mp.sqrt(mpf("0.2") ** 2 + mpf("0.06") ** 2)
    return normal_tail(mp.log(mpf(deflection) / median) / spread)


def cooling_tail():
    """A pipe at 4 standard deviations, or both of two pumps or two of three valves at 2.5 each, all independent."""
    pipe, each = normal_tail(4), normal_tail(mpf("2.5"))
    valves = 3 * each**2 * (1 - each) + each**3
    return 1 - (1 - pipe) * (1 - each**2) * (1 - valves)
