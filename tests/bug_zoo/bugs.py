"""Statistical bugs, each a wrong version of one function, and the tests that see it.

To add one: a function that is given the right function (or property, class method) and returns the wrong one. Its name
is that of the bug, its docstring says what a programmer did wrong.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.fold import Sampler
from raresim.estimators.base import Estimator
from raresim.estimators.replicates import run_once
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.record.verdict import Check, Status


@dataclass(frozen=True)
class Bug:
    """A mistake in one place.

    Parameters
    ----------
    name, what : str
        In one word, and in a sentence.
    where : str
        ``package.module:function`` or ``package.module:Class.attribute``.
    broken : callable
        From what is there to what takes its place.
    caught_by : tuple of str
        Node ids of the tests of which one must fail.
    """

    name: str
    what: str
    where: str
    broken: Callable[[Any], Any]
    caught_by: tuple[str, ...]


_seeded: list[Bug] = []


def bug(where, *caught_by):
    """Register the decorated function as a bug at ``where`` that the tests ``caught_by`` see."""

    def register(broken):
        _seeded.append(Bug(broken.__name__, broken.__doc__, where, broken, caught_by))
        return broken

    return register


# --- densities and weights ---------------------------------------------------------------------------

LAWS = "tests/conformance/test_distributions.py"
MIXTURE = "tests/distributions/test_mixture.py"
ENGINE = "tests/engine/test_engine.py"


@bug("raresim.distributions.normal:Normal.log_det", f"{ENGINE}::test_log_weight_is_the_target_over_the_proposal")
def missing_log_determinant(log_det):
    """The density of a normal law without the determinant of its covariance."""
    return 0.0


@bug("raresim.distributions.normal:lower_affine", f"{LAWS}::test_draws_have_the_moments_of_the_law[normal-2]")
def factor_transposed(lower_affine):
    """Correlated normals made with the transpose of the Cholesky factor."""

    def upper_affine(u, factor, loc, x):
        x[:] = loc + u @ factor

    return upper_affine


@bug(
    "raresim.distributions.student_t:stretch",
    "tests/distributions/test_student_t.py::test_coordinates_share_one_mixing_variable",
)
def mixing_variable_for_each_coordinate(stretch):
    """The coordinates of a multivariate t law are stretched independently."""

    def apart(x, loc, mixing):
        for j in range(x.shape[1]):
            x[:, j] = loc[j] + np.roll(mixing, j) * (x[:, j] - loc[j])

    return apart


@bug(
    "raresim.distributions.mixture:Mixture.component_logpdf",
    f"{MIXTURE}::test_mixture_of_mixtures_has_the_density_of_all_its_parts",
)
def shares_missing_from_the_density(component_logpdf):
    """The density of a mixture adds its components without their shares."""

    def unweighted(self, x, logs):
        component_logpdf(self, x, logs)
        logs -= np.log(self.shares)

    return unweighted


@bug(
    "raresim.distributions.mixture:Mixture.logpdf",
    f"{MIXTURE}::test_defensive_mixture_bounds_every_weight_by_its_share",
)
def defensive_draws_without_their_density(logpdf):
    """The defensive component is drawn from, but the density is that of the others."""
    return lambda self, x, out: self.components[0].logpdf(x, out)


@bug(
    "raresim.distributions.mixture:Mixture.defensive",
    f"{MIXTURE}::test_defensive_share_of_a_mixture_is_one_more_component",
)
def defensive_share_given_to_the_proposal(defensive):
    """The defensive share and its complement are swapped."""
    return classmethod(lambda cls, proposal, target, share: defensive.__func__(cls, proposal, target, 1.0 - share))


@bug("raresim.distributions.mixture:Mixture.sample", f"{MIXTURE}::test_mixture_of_mixtures_is_drawn_in_proportion")
def components_drawn_alike(sample):
    """A mixture draws equally often from each component, whatever their shares."""

    def alike(self, rng, x):
        even = replace(self, weights=np.full(len(self.components), 1.0 / len(self.components)))
        sample(even, rng, x)

    return alike


@bug("raresim.engine.fold:Sampler.log_weight", f"{ENGINE}::test_log_weight_is_the_target_over_the_proposal")
def flipped_ratio(log_weight):
    """The weight is ``q / p``."""
    return lambda self, u: np.negative(log_weight(self, u))


@bug(
    "raresim.engine.problem:Problem.target",
    "tests/engine/test_problem.py::test_draws_live_in_the_space_of_the_problem[physical-2-student_t]",
)
def standard_normals_in_physical_space(target):
    """Draws of the risk factors themselves are weighed by the density of standard normals."""
    return property(lambda self: StandardNormal(dim=self.dim))


@bug(
    "raresim.proposals.gaussian:Gaussian.fit",
    "tests/methods/test_cross_entropy.py::test_every_covariance_and_number_of_starts_gives_the_answer[1-full]",
)
def density_before_the_floor(fit):
    """Draws are made with the floored covariance, weighed with the one before."""

    def of_two_minds(self, current, stats):
        law = fit(self, current, stats)
        mean = stats.first / stats.weight
        before = Normal(mean=mean, cov=stats.second / stats.weight - np.outer(mean, mean))
        object.__setattr__(law, "logpdf", before.logpdf)
        return law

    return of_two_minds


@bug(
    "raresim.proposals.gaussian:Gaussian._floored",
    "tests/conformance/test_proposals.py::test_no_eigenvalue_falls_below_the_floor[gaussian-2]",
)
def floor_forgotten(floored):
    """A covariance fitted to few draws is used as it is."""
    return lambda self, cov: cov


@bug(
    "raresim.distributions.histogram_tilt:HistogramTilt.logpdf",
    "tests/distributions/test_histogram_tilt.py::test_ratios_of_one_are_the_standard_normal",
)
def histogram_not_normalised(logpdf):
    """The density of a tilt by bins is multiplied by the share of a bin, not by its ratio to the normal one."""
    from raresim.distributions.histogram_tilt import WIDTHS, add_steps, normal_edges

    def unnormalised(self, x, out):
        logpdf(self, x, out)
        add_steps(x, normal_edges(), np.tile(np.log(WIDTHS), (self.dim, 1)), out)

    return unnormalised


@bug(
    "raresim.search.archive:Archive.log_weight", "tests/search/test_archive.py::test_weights_are_the_balance_heuristic"
)
def archive_weighed_by_its_last_law(log_weight):
    """Draws of several laws are weighed as if all came from the last."""
    from raresim.distributions.base import log_density

    return property(lambda self: self._log_p - log_density(self.laws[-1], self.u))


@bug(
    "raresim.methods.sequential:pooled_weights",
    "tests/methods/test_sequential.py::test_pooled_weights_are_the_target_over_the_mixture",
)
def levels_weighed_by_the_last(pooled_weights):
    """Draws of all levels of sequential importance sampling are weighed by the law of the last."""
    return lambda loss, goal, widths, log_masses: pooled_weights(loss, goal, widths[-1:], log_masses[-1:])


@bug("raresim.methods.levels:Fit.__call__", "tests/methods/test_levels.py::test_fit_sees_the_elites_with_their_weights")
def elites_without_weights(call):
    """A proposal is fitted to the elites of another as if they were draws of the target."""

    def unweighted(self, block):
        return call(replace(self, rows=replace(self.rows, log_weight=np.full_like(self.rows.loss, self.peak))), block)

    return unweighted


# --- sums over the draws -----------------------------------------------------------------------------

SUMS = "tests/accumulators/test_accumulators.py"
NUMPY = f"{SUMS}::test_tail_numbers_agree_with_numpy_on_the_whole_sample"


def of_changed(of_hits, change):
    """`TailMoments.of_hits` of log weights that ``change`` was applied to, for each event."""
    return classmethod(lambda cls, n, logs: of_hits.__func__(cls, n, [change(w) if w.size else w for w in logs]))


@bug("raresim.accumulators.tail:masks", f"{SUMS}::test_masks_are_closed_on_both_sides")
def threshold_not_in_the_event(masks):
    """``>`` in place of ``>=``."""
    return lambda events, loss: [loss > e.threshold if e.direction == "above" else loss < e.threshold for e in events]


@bug("raresim.accumulators.tail:masks", f"{SUMS}::test_masks_are_closed_on_both_sides")
def below_taken_for_above(masks):
    """The side of an event is ignored where hits are counted."""
    return lambda events, loss: [loss >= e.threshold for e in events]


@bug("raresim.record.event:Event.sign", "tests/engine/test_problem.py::test_event_has_a_side_and_a_label")
def search_climbs_to_the_wrong_side(sign):
    """The losses of an event below are not turned round for a search."""
    return property(lambda self: 1.0)


@bug(
    "raresim.accumulators.tail:TailMoments.relative_error",
    f"{SUMS}::test_relative_error_of_unit_weights_is_the_binomial_one",
)
def n_for_n_minus_one(relative_error):
    """The variance of the mean is divided by ``n`` twice."""
    return lambda self, k: relative_error(self, k) * math.sqrt((self.n - 1) / self.n)


@bug("raresim.accumulators.moments:LossMoments.std", f"{SUMS}::test_loss_moments_agree_with_numpy")
def n_for_n_minus_one_in_sigma(std):
    """The standard deviation of the pilot's losses has the divisor ``n``."""
    return property(lambda self: math.sqrt(self.squares / self.n))


@bug("raresim.accumulators.tail:TailMoments.relative_error", NUMPY)
def variance_for_error(relative_error):
    """The variance is reported without its square root."""
    return lambda self, k: relative_error(self, k) ** 2


@bug("raresim.accumulators.tail:TailMoments.relative_error", NUMPY)
def variance_of_the_hits(relative_error):
    """The variance is that of the weights of the hits: misses are no zeros."""

    def of_hits_alone(self, k):
        second = self.hits[k] * self.sum_w2[k] / self.sum_w[k] ** 2
        return math.sqrt(max(0.0, second - 1.0) / self.n)

    return of_hits_alone


@bug("raresim.accumulators.tail:TailMoments.ess", NUMPY)
def every_hit_effective(ess):
    """The effective number of hits is their number."""
    return lambda self, k: float(self.hits[k])


@bug("raresim.accumulators.tail:TailMoments.of_hits", NUMPY)
def weights_clipped(of_hits):
    """The largest weights are cut at a quantile, and nobody is told."""
    return of_changed(of_hits, lambda w: np.minimum(w, np.quantile(w, 0.999)))


@bug("raresim.accumulators.tail:TailMoments.of_hits", NUMPY)
def largest_weights_smoothed(of_hits):
    """The largest weights are replaced by their mean: the sum stays, its error shrinks."""

    def smoothed(w):
        order = np.argsort(w)[-math.ceil(min(0.2 * w.size, 3.0 * math.sqrt(w.size))) :]
        out = w.copy()
        out[order] = special.logsumexp(w[order]) - math.log(order.size)
        return out

    return of_changed(of_hits, smoothed)


@bug("raresim.accumulators.tail:TailMoments.of_hits", NUMPY)
def single_precision(of_hits):
    """Weights are added in single precision."""
    return of_changed(of_hits, lambda w: w.astype(np.float32))


@bug(
    "raresim.accumulators.tail:TailMoments.of_hits",
    f"{SUMS}::test_shifting_log_weights_shifts_the_log_probability_alone",
)
def exponentials_of_unshifted_logs(of_hits):
    """``exp`` of log weights of which the largest was not subtracted."""

    def unshifted(cls, n, log_weights):
        sums = np.zeros((3, len(log_weights)))
        with np.errstate(over="ignore", invalid="ignore"):
            for k, w in enumerate(log_weights):
                v = np.exp(w)
                sums[:, k] = v.sum(), (v**2).sum(), (v * w).sum()
        hits = np.array([w.size for w in log_weights])
        return cls(n, hits, np.zeros(hits.size), *sums)

    return classmethod(unshifted)


@bug("raresim.accumulators.tail:TailMoments.of_block", f"{SUMS}::test_hit_of_weight_zero_is_a_hit")
def rows_without_weight_dropped(of_block):
    """Rows of log weight ``-inf`` are not counted in ``n``."""

    def dropped(cls, log_weight, masks):
        kept = log_weight > -np.inf
        return of_block.__func__(cls, log_weight[kept], [mask[kept] for mask in masks])

    return classmethod(dropped)


@bug("raresim.accumulators.tail:TailMoments.of_hits", f"{SUMS}::test_nan_log_weight_is_not_taken_for_zero")
def nan_weight_taken_for_zero(of_hits):
    """A weight that is NaN adds nothing."""
    return of_changed(of_hits, lambda w: np.where(np.isnan(w), -np.inf, w))


@bug("raresim.accumulators.tail:_shrink", f"{SUMS}::test_tail_of_pieces_merges_to_the_whole")
def merge_without_rescaling(shrink):
    """Sums relative to two different largest weights are added as they are."""
    return lambda old, new: np.zeros_like(old)


@bug("raresim.accumulators.tail:TailMoments.merge", f"{SUMS}::test_tail_of_pieces_merges_to_the_whole")
def merge_loses_hits(merge):
    """The rows of the second part are counted, its hits are not."""
    return lambda self, other: replace(self, n=self.n + other.n)


@bug("raresim.accumulators.summary:Summary.merge", f"{SUMS}::test_summaries_of_replicates_merge_every_part")
def tail_of_the_first_net_alone(merge):
    """The moments of the single draws, from which the verdict reads their tail, are those of the first block."""
    return lambda self, other: replace(merge(self, other), drawn=self.drawn)


@bug("raresim.accumulators.top:_cut", f"{SUMS}::test_top_weights_are_the_largest_of_a_large_sample")
def smallest_weights_kept(cut):
    """The weights that are kept for the tail check are the smallest."""
    return lambda log_weight: -cut(-log_weight)


@bug(
    "raresim.information.weighted:weighted_kl",
    "tests/information/test_weighted.py::test_kl_is_that_of_the_weights_to_the_even_law_over_all_draws",
)
def kl_without_log_n(weighted_kl):
    """KL(optimal || q) leaves out the number of draws."""
    return lambda sum_w, sum_w_log_w, n: weighted_kl(sum_w, sum_w_log_w, 1)


@bug(
    "raresim.losses.python:PythonLoss.__call__",
    "tests/losses/test_python_loss.py"
    "::test_what_is_wrong_is_said_in_full[must be finite, got nan for 1 of 50 rows, first ]",
)
def nan_counted_as_safe(call):
    """A loss that is NaN is taken for no loss."""

    def lenient(self, x, out):
        function = self.call

        def safe(rows):
            loss = function(rows)
            is_number = isinstance(loss, np.ndarray) and loss.dtype == np.float64
            return np.where(np.isnan(loss), 0.0, loss) if is_number else loss

        safe.__name__ = function.__name__
        other = replace(self)
        object.__setattr__(other, "call", safe)
        call(other, x, out)

    return lenient


@bug(
    "raresim.distributions.independent:Independent.sums_in_one_region",
    "tests/losses/test_linear.py::test_one_region_is_claimed_where_it_is_proven",
)
def half_space_of_factors_for_one_of_normals(sums_in_one_region):
    """The event of a linear loss is taken for one region whatever the map from standard normals bends it into."""
    return lambda self, weights: "the event is one half-space"


# --- lines and rays ------------------------------------------------------------------------------------

LINE = "tests/methods/test_line_sampling.py::test_share_of_a_line_is_exact"


@bug("raresim.search.roots:_scan", f"{LINE}[both]")
def first_crossing_alone(scan):
    """A line that has entered an event is taken to stay in it."""

    def never_leaves(loss_at, places):
        losses, evaluations = scan(loss_at, places)
        return np.maximum.accumulate(losses, axis=1), evaluations

    return never_leaves


@bug("raresim.search.roots:_boundaries", f"{LINE}[step off the grid]", f"{LINE}[capped]")
def any_tie_for_the_boundary(boundaries):
    """The search for a boundary ends at the first place whose loss equals the threshold, however far in it lies."""

    def at_ties(loss_at, events, crossed, left, right, enters, tolerance):
        found, evaluations = boundaries(loss_at, events, crossed, left, right, enters, tolerance)
        inside = np.where(enters, right, left)
        threshold = np.array([event.threshold for event in events])[crossed[0]]
        return np.where(loss_at(crossed[1], inside) == threshold, inside, found), evaluations

    return at_ties


# --- random streams and stages -----------------------------------------------------------------------


@bug("raresim.numerics.streams:stream", f"{ENGINE}::test_no_two_blocks_have_a_draw_in_common")
def one_stream_for_all_blocks(stream):
    """The stream of a block does not depend on its index."""
    return lambda seed, stage, block: stream(seed, stage, 0)


@bug("raresim.numerics.streams:stream", f"{ENGINE}::test_no_two_blocks_have_a_draw_in_common")
def one_stream_for_all_stages(stream):
    """The estimate draws again what tuning drew."""
    return lambda seed, stage, block: stream(seed, 0, block)


@bug(
    "raresim.engine.session:Session.plan",
    "tests/methods/test_subset_simulation.py::test_no_replicate_shares_a_stream_with_the_pilot",
)
def stages_not_counted(plan):
    """Every stage of a run is the first."""
    return lambda self, n_samples, fixed_rows=None: replace(plan(self, n_samples, fixed_rows), stage=0)


@bug(
    "raresim.numerics.blocks:Plan.then",
    "tests/numerics/test_blocks.py::test_a_continued_plan_starts_where_the_first_ended",
)
def further_look_draws_again(then):
    """The blocks of a further look are numbered from 0, so that the first look's draws count twice."""
    return lambda self, n_samples: replace(then(self, n_samples), first_block=0)


@bug("raresim.methods.auto_search:Search.run", "tests/methods/test_auto.py::test_tuning_draws_stay_out_of_the_estimate")
def tuning_draws_in_the_estimate(run):
    """The draws that a proposal was fitted to are pooled with the fresh ones."""

    def pooled(self):
        tuned, archive, session = run(self), self.explorer.archive, self.session
        hits = [archive.log_weight[archive.loss >= goal] for goal in self.signed_thresholds()]
        fresh = WeightedDraws(Sampler(session.problem, tuned.proposal, session.seed), tuple(session.events))
        return replace(tuned, estimator=_Pooled(fresh, Summary.of_rows(archive.size, hits, 0)))

    return pooled


@dataclass(frozen=True, eq=False)
class _Pooled(Estimator):
    """Fresh rows, and with the first block also earlier ones."""

    fresh: WeightedDraws
    earlier: Summary

    @property
    def cost(self):
        return 1.0

    @property
    def gapless(self):
        return self.fresh.gapless

    def through(self, u, block):
        return self.fresh.through(u, block)

    def __call__(self, block):
        return self.earlier.merge(self.fresh(block)) if block.first == 0 else self.fresh(block)


@bug("raresim.run.looks:worst", "tests/run/test_estimation.py::test_every_event_gets_the_asked_error")
def first_event_decides(worst):
    """A run ends when the first of its events has the asked error."""
    return lambda total, job: total.tail.relative_error(0)


# --- tails of laws -----------------------------------------------------------------------------------


@bug(
    "raresim.marginals.tails:log_hazard",
    "tests/marginals/test_tails.py::test_map_from_a_normal_is_exact_in_both_tails[weibull]",
)
def quantile_of_the_other_tail(log_hazard):
    """The upper quantile of a law is read from its lower tail."""
    return lambda log_p, upper: log_hazard(log_p, not upper)


@bug(
    "raresim.numerics.normal_scores:log_tail",
    "tests/marginals/test_tails.py::test_map_from_a_normal_is_exact_in_both_tails[weibull]",
)
def upper_tail_by_subtraction(log_tail):
    """A tail probability is one less the distribution function, which has no digits far out."""
    return lambda u: np.log1p(-np.minimum(special.ndtr(np.abs(u)), 1.0 - 1e-16))


@bug("raresim.copulas.nataf:_pair", "tests/copulas/test_copulas.py::test_nataf_of_lognormals_is_in_closed_form")
def correlation_of_factors_given_to_their_normals(pair):
    """The correlation of skewed factors is used as that of the normals beneath them."""
    return lambda expansions, i, j, wanted: wanted


@bug(
    "raresim.distributions.lognormal_sum:lognormal_moments",
    "tests/losses/test_linear.py::test_18_6_moments_of_revalued_normals_are_closed_forms",
)
def revalued_without_convexity(lognormal_moments):
    """The mean of ``exp(x)`` is taken for ``exp`` of the mean."""
    return lambda mean, cov, weights: (float(weights @ np.exp(mean)), lognormal_moments(mean, cov, weights)[1])


@bug(
    "raresim.measures.contributions:Contributions.floor",
    "tests/measures/test_contributions.py::test_18_16_the_largest_names_have_their_incremental_numbers[crude]",
)
def rows_kept_for_the_whole_alone(floor):
    """Rows that the loss without its largest part needs are not kept."""
    return lambda self, climbed, loss: np.inf


@bug("raresim.data.names:_places", "tests/data/test_names.py::test_18_5_weights_are_aligned_by_name")
def names_ignored(places):
    """Numbers that carry names are taken by place."""
    return lambda field, labels, names, remedy="": list(range(len(names)))


@bug(
    "raresim.distributions.covariances:_ledoit_wolf",
    "tests/data/test_data.py::test_18_2_a_quiet_column_keeps_its_volatility",
)
def raw_units_shrunk_to_one_variance(ledoit_wolf):
    """The target of the shrinkage has the same variance for all columns, whatever their units."""

    def pulled(centred):
        found = ledoit_wolf(centred)
        d = len(found.cov)
        cov = 0.99 * found.cov + 0.01 * np.trace(found.cov) / d * np.eye(d)
        return type(found)(cov=cov, shrinkage=found.shrinkage, moved=found.moved)

    return pulled


@bug(
    "raresim.distributions.student_t:StudentT.linear_moments",
    "tests/distributions/test_student_t.py::test_fitted_law_has_mean_and_covariance_of_the_data",
)
def scale_taken_for_sigma(linear_moments):
    """A threshold in sigma counts the scale of a t law, which is less than its standard deviation."""
    return lambda self, weights: self.normal.linear_moments(weights)


@bug(
    "raresim.distributions.student_t:StudentT.fit",
    "tests/distributions/test_student_t.py::test_fitted_law_has_mean_and_covariance_of_the_data",
)
def covariance_taken_for_scale(fit):
    """A t law is fitted with the covariance of the data as its scale matrix."""

    def too_wide(cls, data):
        law = fit.__func__(cls, data)
        return replace(law, shape=law.shape * law.dof / (law.dof - 2.0))

    return classmethod(too_wide)


@bug(
    "raresim.distributions.masses:log_normal_mass",
    "tests/methods/test_line_sampling.py::test_mass_is_exact_in_both_tails",
)
def line_counts_the_safe_side(log_normal_mass):
    """The weight of a line is the probability on the wrong side of its boundary."""
    return lambda a, b: special.log_ndtr(a)


@bug(
    "raresim.distributions.masses:log_chi_tail",
    "tests/methods/test_directional_sampling.py::test_mass_of_radii_agrees_with_the_chi_law",
)
def one_degree_of_freedom_short(log_chi_tail):
    """The radius of ``d`` normals is given ``d - 1`` degrees of freedom."""
    return lambda dim, r, upper: log_chi_tail(max(1, dim - 1), r, upper)


# --- intervals ---------------------------------------------------------------------------------------

INTERVALS = "tests/measures/test_intervals.py"
STAGE = "tests/run/test_estimation.py"


@bug("raresim.measures.intervals:log_scale", f"{INTERVALS}::test_log_scale_interval_is_the_normal_one_of_the_logarithm")
def natural_scale_called_log_scale(log_scale):
    """The interval is ``value (1 -+ z r)``."""

    def natural(value, relative_error, confidence, dof=None):
        half = special.ndtri(0.5 + 0.5 * confidence) * relative_error * value
        return value - half, value + half

    return natural


@bug("raresim.measures.intervals:log_scale", f"{INTERVALS}::test_log_scale_interval_is_the_normal_one_of_the_logarithm")
def one_sided_quantile(log_scale):
    """Both ends of an interval have all of the error that they may have together."""
    return lambda value, error, confidence, dof=None: log_scale(value, error, 2.0 * confidence - 1.0, dof)


@bug("raresim.measures.intervals:log_scale", f"{INTERVALS}::test_few_replicates_take_the_quantile_of_student_t")
def normal_quantile_of_few_replicates(log_scale):
    """An error that comes from few replicates is taken to be known."""
    return lambda value, error, confidence, dof=None: log_scale(value, error, confidence)


@bug(
    "raresim.measures.intervals:log_scale",
    f"{STAGE}::test_interval_of_replicates_has_one_degree_of_freedom_less_than_rows",
)
def replicates_for_degrees_of_freedom(log_scale):
    """Student's t has as many degrees of freedom as there are replicates."""
    return lambda value, error, confidence, dof=None: log_scale(value, error, confidence, dof and dof + 1)


@bug("raresim.measures.intervals:clopper_pearson", f"{INTERVALS}::test_exact_interval_agrees_with_scipy")
def upper_end_of_one_hit_less(clopper_pearson):
    """The upper end of the exact interval uses ``k`` where ``k + 1`` belongs."""

    def low_end(hits, n, confidence):
        tail = 0.5 * (1.0 - confidence)
        high = special.betaincinv(hits, n - hits + 1, 1.0 - tail) if hits else 0.0
        return clopper_pearson(hits, n, confidence)[0], float(high)

    return low_end


@bug("raresim.measures.intervals:zero_hits_bound", f"{INTERVALS}::test_bound_without_a_hit_is_three_over_n")
def bound_of_one_over_n(zero_hits_bound):
    """No hit in ``n`` draws is said to bound a probability by ``1 / n``."""
    return lambda n, confidence: 1.0 / n


@bug(
    "raresim.run.answer:inflation",
    f"{STAGE}::test_the_interval_is_widened_when_the_sample_chose_its_size_and_it_is_recorded",
)
def looks_for_nothing(inflation):
    """An interval does not pay for a sample that chose its own size."""
    return lambda sample: 1.0


@bug("raresim.run.answer:is_heavy", f"{STAGE}::test_quantile_of_student_t_comes_with_the_tail_of_the_weights")
def normal_quantile_of_heavy_tails(is_heavy):
    """The error of weights with a heavy tail is taken to be known."""
    return lambda weights, unit: False


@bug(
    "raresim.run.answer:holds",
    f"{STAGE}::test_interval_of_weights_without_a_variance_is_not_called_by_its_confidence",
)
def every_interval_called_by_its_confidence(holds):
    """An interval of weights without a variance is called one of 95 %."""
    return lambda weights, unit: True


@bug("raresim.accumulators.arrivals:Arrivals.merge", f"{SUMS}::test_first_hits_do_not_depend_on_where_the_rows_are_cut")
def hits_numbered_within_their_block(merge):
    """The rows of hits are counted from the beginning of their own block."""
    return lambda self, other: merge(replace(self, n=0), other)


@bug(
    "raresim.estimators.guarantee:Wait.value",
    f"{INTERVALS}::test_estimate_of_a_guarantee_is_off_as_often_as_it_says_at_any_probability",
)
def hits_over_time(value):
    """The rate of hits that end a stage is ``k / t``, as if their number had not been chosen."""
    return property(lambda self: self.goal.hits / self.time if self.time else math.nan)


@bug("raresim.estimators.guarantee:chance_of_more", f"{INTERVALS}::test_hits_of_a_guarantee_are_the_fewest")
def guarantee_on_one_side(chance_of_more):
    """The chance of an error is that of one that is too large; too small ones are forgotten."""
    return lambda hits, error: float(special.gammainc(hits, (hits - 1) / (1 + error)))


@bug("raresim.accumulators.bets:Bets.interval", f"{INTERVALS}::test_ends_of_an_interval_of_bets_solve_their_equation")
def bets_with_all_of_the_error_on_each_side(interval):
    """Both players may be wrong as often as the interval."""
    return lambda self, k, confidence: interval(self, k, 2.0 * confidence - 1.0)


# --- the tail of the weights, and the verdict --------------------------------------------------------

PSIS = "tests/diagnostics/test_psis.py"
VERDICT = "tests/diagnostics/test_verdict.py"


@bug("raresim.diagnostics.psis:khat", f"{PSIS}::test_shape_agrees_with_arviz")
def shape_of_log_weights(khat):
    """k-hat is fitted to the log weights."""
    return lambda log_weights, n: khat(np.log(log_weights - log_weights.min() + 1e-9), n)


@bug("raresim.diagnostics.psis:khat", f"{PSIS}::test_largest_weights_are_enough")
def tail_of_the_kept_weights(khat):
    """The tail is sized by the weights that were kept, not by all."""
    return lambda log_weights, n: khat(log_weights, log_weights.size)


@bug("raresim.diagnostics.psis:khat", f"{PSIS}::test_weights_without_a_tail_have_no_shape")
def constant_tail_has_shape_zero(khat):
    """Weights that have no tail to fit are given the best of marks."""

    def never_unknown(log_weights, n):
        shape = khat(log_weights, n)
        return 0.0 if shape is None else shape

    return never_unknown


@bug("raresim.diagnostics.psis:bounded", f"{PSIS}::test_weights_without_a_variance_are_not_let_off")
def heavy_tails_let_off(bounded):
    """Weights of which the largest is less than a hundred times the mean count as bounded, however few they are."""
    return lambda max_to_mean, n: max_to_mean < 100.0


@bug("raresim.diagnostics.row_checks:tail", f"{VERDICT}::test_each_check_changes_at_its_limit")
def unknown_shape_passes(tail):
    """A check that could not run counts as passed."""

    def lenient(diagnostics, *more):
        return Check("khat", None, Status.TRUSTED, "") if diagnostics["khat"] is None else tail(diagnostics, *more)

    return lenient


@bug(
    "raresim.methods.grids:Trial.facts",
    "tests/methods/test_grids.py::test_change_of_the_grid_is_stored_where_it_is_known",
)
def grid_always_settled(facts):
    """The verdict is told that a finer grid changes nothing."""
    return property(lambda self: {"grid_step": self.step, "grid_change": 0.0})


@bug(
    "raresim.methods.auto_search:Search.coverage",
    "tests/methods/test_auto.py::test_failing_mass_that_the_proposal_misses_is_counted",
)
def nothing_uncovered(coverage):
    """The verdict is not told of failing draws that the proposal hardly covers."""
    return lambda self, *args: coverage(self, *args) | {"uncovered": 0.0}


@bug("raresim.diagnostics.verdict:worst", f"{VERDICT}::test_statuses_are_ordered_from_best_to_worst")
def best_check_decides(worst):
    """The verdict is the best of the checks."""
    return lambda statuses: min(statuses, key=list(Status).index)


# --- the audit and the canary ------------------------------------------------------------------------

AUDIT = "tests/run/test_audit.py"
CANARY = "tests/diagnostics/test_canary.py"


@bug("raresim.estimators.base:OfDraws.through", f"{AUDIT}::test_good_estimates_pass[cross_entropy]")
def audit_asks_the_target(through):
    """Failing draws of the audit are weighed as if the estimate drew from the target."""
    return lambda self, u, block: (np.zeros((len(self.events), len(u))), 0)


@bug(
    "raresim.run.audit:_AuditClimb.width",
    f"{AUDIT}::test_a_steep_far_region_goes_under_in_climbs_from_the_target_alone",
)
def every_climb_from_the_target(width):
    """No climb of the audit begins with a widened target."""
    return lambda self, block: 1.0


@bug("raresim.run.reach:_distance", "tests/run/test_reach.py::test_three_replicates_have_to_come_near[1-True]")
def one_replicate_is_enough(distance):
    """A region that one replicate found by luck counts as one that all come to."""
    return lambda parts, asked: np.min([distance([part], asked) for part in parts], axis=0)


LINES = "tests/methods/test_line_sampling.py"


@bug(
    "raresim.estimators.lines:Lines.through",
    f"{LINES}::test_rows_through_failing_draws_are_met_in_proportion_to_their_weight[four]",
)
def other_lines_know_the_draw(through):
    """The lines of other cones begin at the failing draw itself, and not at a row that is merely met as often."""
    return lambda self, u, block: self.of_normals(u, block)


@bug(
    "raresim.run.audit:Audit._error_ratio",
    f"{AUDIT}::test_the_error_of_lines_is_that_of_lines_through_failing_draws_of_the_target",
)
def audited_error_without_its_own_uncertainty(error_ratio):
    """The error by failing draws is held against the one reported as if the estimate were known."""

    def ratio(self, k, found):
        plain = [c for c in found if c.nominal]
        if not plain or not self.rows:
            return None
        second = self.rows * sum(float(c.influence[k]) for c in plain) / len(plain)
        return math.sqrt(max(0.0, second - 1.0) / self.rows) / self.errors[k]

    return ratio


@bug("raresim.run.audit:reserve", f"{AUDIT}::test_the_budget_holds_the_audit")
def nothing_held_back(reserve):
    """The estimate spends what the audit needs."""
    return lambda extent, left, problem: 0


@bug("raresim.diagnostics.canary:Region.log_probability", f"{CANARY}::test_a_region_has_the_probability_that_it_says")
def region_without_an_end(log_probability):
    """The canary's regions are taken for half-spaces."""
    return property(lambda self: float(special.log_ndtr(-self.low)))


@bug("raresim.diagnostics.verdict:judge", f"{VERDICT}::test_each_check_changes_at_its_limit")
def verdict_of_the_first_run(judge):
    """The verdict is kept from the first run of the process."""
    kept = []

    def cached(*numbers):
        if not kept:
            kept.append(judge(*numbers))
        return kept[0]

    return cached


# --- climbing to rare events -------------------------------------------------------------------------

MARKOV = "tests/search/test_markov.py"


@bug("raresim.search.markov:beyond", f"{MARKOV}::test_moves_keep_a_truncated_normal")
def moves_without_the_level(beyond):
    """Chains may leave the level that they are conditioned on."""
    return lambda level: np.zeros_like


@bug("raresim.search.markov:Walk._conditional", f"{MARKOV}::test_free_chains_keep_the_standard_normal")
def proposal_not_shrunk(conditional):
    """A chain proposes ``u + s z`` without shrinking ``u``, and accepts as if it had."""

    def inflating(self, u, loss, log_factor, gain):
        proposed = u + self.step * self._noise(*u.shape)
        new = self._loss(np.asfortranarray(proposed))
        accepted = self._log_uniform(loss.size) < log_factor(new) - log_factor(loss)
        return np.where(accepted[:, None], proposed, u), np.where(accepted, new, loss)

    return inflating


@bug("raresim.search.markov:next_level", f"{MARKOV}::test_level_gives_an_unbiased_share")
def level_at_the_kth_loss(next_level):
    """A level is the ``k``-th largest loss itself, which its own share then counts."""
    return lambda loss, k: float(np.partition(loss, -k)[-k])


@bug("raresim.search.markov:next_level", f"{MARKOV}::test_level_with_ties")
def level_one_draw_off(next_level):
    """One draw more than was asked for lies beyond a level."""
    return lambda loss, k: next_level(loss, k + 1)


@bug(
    "raresim.methods.splitting:Splitting.run",
    "tests/methods/test_splitting.py::test_last_particle_is_unbiased_with_a_poisson_number_of_killed",
)
def killed_one_short(run):
    """The share of a level of splitting counts one particle more than was killed."""

    def short(self, *args):
        done = run(self, *args)
        lost = sum(math.log1p(-1.0 / (step.share * self.samples)) for step in done.steps[:-1])
        return replace(done, log_probabilities=done.log_probabilities + lost)

    return short


@bug("raresim.methods.sequential:_resampled", "tests/methods/test_sequential.py::test_mean_of_runs_is_exact[linear]")
def survivors_drawn_alike(resampled):
    """Draws go on to the next level whatever their weights."""
    return lambda log_w, rng: rng.permutation(log_w.size)


@bug(
    "raresim.methods.sequential:Scheduled.run",
    "tests/methods/test_sequential.py::test_runs_of_few_draws_are_unbiased[around]",
)
def levels_from_their_own_draws(run):
    """Every run of sequential importance sampling chooses its levels by the draws that it weighs with them."""
    from raresim.methods.sequential import SequentialImportance

    def choosing(self, *arguments):
        return SequentialImportance(samples=self.samples, steps=self.steps, moves=self.moves).run(*arguments)

    return choosing


@bug(
    "raresim.methods.sequential:_Levels.run", "tests/methods/test_sequential.py::test_ancestors_tell_the_spread_of_runs"
)
def masses_of_the_pilot_for_all(run):
    """All runs take the pilot's masses of the levels for their own: they agree, and share its error."""

    def agreed(self, outcome, masses, after=None):
        self.log_masses[: len(masses)] = masses
        return run(self, outcome, masses, after)

    return agreed


@bug(
    "raresim.search.markov:Guide.log_target",
    "tests/search/test_markov.py::test_guided_moves_keep_a_truncated_normal[4]",
)
def guide_taken_for_the_target(log_target):
    """Proposals of another law than the target's are accepted as if they were the target's."""
    return lambda self, u: np.zeros(len(u))


@bug(
    "raresim.methods.grids:_log_moments",
    "tests/methods/test_grids.py::test_a_change_that_cancels_in_the_estimate_is_seen",
)
def grid_judged_by_the_mean_alone(log_moments):
    """A grid is fine enough when its gaps and its misses cancel."""
    return lambda tail, k: log_moments(tail, k)[:1]


@bug(
    "raresim.estimators.replicates:Replicates.__call__",
    "tests/methods/test_subset_simulation.py::test_estimator_gives_the_same_row_in_another_process",
)
def error_of_one_run(call):
    """The draws of a run, which depend on each other, are counted as independent rows."""

    def naive(self, block):
        run = run_once(self.sampler, self.events, self.population, block, self.most)
        sign = self.events[0].sign
        hits = [run.log_weight[run.loss >= sign * event.threshold] for event in self.events]
        return Summary.of_rows(run.loss.size, hits, run.evaluations)

    return naive


@bug(
    "raresim.methods.cross_entropy:_upper_quantile",
    "tests/methods/test_cross_entropy.py::test_levels_take_a_share_of_the_draws_and_measure_themselves",
)
def level_at_the_other_quantile(upper_quantile):
    """A level of the cross-entropy method is the quantile of ``rarity`` from below."""
    return lambda loss, rarity: upper_quantile(loss, 1.0 - rarity)


# --- estimators --------------------------------------------------------------------------------------

CONTROLS = "tests/estimators/test_control_variates.py"
PAIRS = "tests/estimators/test_antithetic.py"


@bug(
    "raresim.estimators.conditional_sum:_of_those_after",
    "tests/methods/test_asmussen_kroese.py::test_weight_is_the_sum_of_conditional_probabilities",
)
def maximum_with_the_summand_itself(of_those_after):
    """The largest of the other summands takes in the one that is integrated out."""

    def with_itself(y):
        sums, largest = of_those_after(y)
        return sums, np.maximum(largest, y)

    return with_itself


@bug(
    "raresim.estimators.sobol:SobolReplicates.__call__",
    "tests/methods/test_sobol.py::test_interval_covers_and_the_error_is_that_between_seeds",
)
def one_scramble_for_all_nets(call):
    """Every net is scrambled by the same random numbers."""
    return lambda self, block: call(self, replace(block, index=0))


@bug(
    "raresim.search.roots:log_shares",
    "tests/methods/test_line_sampling.py::test_cones_divide_the_space",
)
def cones_overlap(log_shares):
    """Lines along several directions are not cut where the part of another direction begins."""
    return lambda loss_at, events, nodes, low, *rest: log_shares(
        loss_at, events, nodes, np.full_like(low, -np.inf), *rest
    )


@bug("raresim.estimators.antithetic:mean_of_pairs", f"{PAIRS}::test_a_row_is_the_mean_of_its_pair")
def partner_with_its_twins_weight(mean_of_pairs):
    """The mirrored draw is given the weight of the draw."""
    return lambda log_weight: mean_of_pairs(np.tile(log_weight[: log_weight.size // 2], 2))


@bug(
    "raresim.estimators.antithetic:AntitheticDraws.__call__",
    f"{PAIRS}::test_error_is_that_of_pairs_where_both_members_hit_alike",
)
def pairs_counted_as_two_rows(call):
    """The two members of a pair count as independent rows."""

    def as_two(self, block):
        summary = call(self, block)
        tail = summary.tail
        twice = (2 * part for part in (tail.sum_w, tail.sum_w2, tail.sum_w_log))
        return replace(summary, tail=TailMoments(2 * tail.n, 2 * tail.hits, tail.peak, *twice))

    return as_two


@bug(
    "raresim.estimators.control_variates:log_controlled_mean",
    f"{CONTROLS}::test_a_value_that_is_a_sum_of_controls_is_known_exactly",
)
def control_with_the_wrong_sign(log_controlled_mean):
    """The deviation of the controls is added where it must be taken off."""

    def wrong(log_y, controls):
        plain = np.exp(log_y).mean()
        return float(np.log(2.0 * plain - math.exp(log_controlled_mean(log_y, controls))))

    return wrong


@bug(
    "raresim.estimators.control_variates:log_controlled_mean", f"{CONTROLS}::test_coefficients_come_from_the_other_half"
)
def coefficients_from_the_same_draws(log_controlled_mean):
    """Coefficients of the controls are fitted to the draws that they correct."""

    def in_sample(log_y, controls):
        y = np.exp(log_y)
        fits = [
            np.linalg.lstsq(c - c.mean(axis=0), v - v.mean(), rcond=None)[0] for c, v in zip(controls, y, strict=True)
        ]
        return math.log(np.mean([v.mean() - c.mean(axis=0) @ b for v, c, b in zip(y, controls, fits, strict=True)]))

    return in_sample


# --- quantiles and means beyond them -----------------------------------------------------------------

CURVE = "tests/measures/test_curve.py"


@bug("raresim.measures.curve:TailCurve.index", f"{CURVE}::test_value_at_risk_of_a_die")
def quantile_at_the_next_atom(index):
    """The value at risk is the largest loss reached with the tail, not the smallest that is exceeded with it."""

    def next_one(self, tail):
        at = index(self, tail)
        return None if at is None else max(0, at - 1)

    return next_one


@bug("raresim.measures.curve:TailCurve.beyond", f"{CURVE}::test_weighted_value_at_risk_is_numpys")
def quantile_without_weights(beyond):
    """The share of rows beyond a loss stands for its probability."""
    return property(lambda self: np.cumsum(self.count) / self.n)


@bug(
    "raresim.measures.curve:TailCurve.excess",
    f"{CURVE}::test_expected_shortfall_of_a_die_is_the_mean_of_its_worst_share",
)
def mean_of_what_is_beyond(excess):
    """The mean of the losses beyond the value at risk: an atom there is left out."""

    def naive(self, at):
        mean, error = excess(self, at)
        tail = float(self.beyond[at] - self.weight[at] / self.n)
        return mean * float(self.beyond[at]) / tail if tail > 0 else mean, error

    return naive


@bug("raresim.measures.curve:TailCurve.errors", f"{CURVE}::test_interval_on_the_log_scale_by_brute_force")
def error_of_rows_beyond_alone(errors):
    """The error of a tail probability from the spread of the rows beyond: that others are zero is forgotten."""

    def conditional(self):
        total = np.cumsum(self.weight)
        k = np.maximum(np.cumsum(self.count), 2)
        return np.sqrt(np.maximum(0.0, k * np.cumsum(self.square) / total**2 - 1.0) / (k - 1))

    return property(conditional)


@bug("raresim.accumulators.weighted_losses:WeightedLosses.merge", f"{CURVE}::test_blocks_come_together_as_one")
def rows_numbered_anew_in_each_block(merge):
    """The numbers of a block's rows begin at 0 again."""

    def unshifted(self, other):
        both = merge(self, other)
        return both if both.bins is not None else replace(both, row=self.row + other.row)

    return unshifted


@bug("raresim.accumulators.weighted_losses:Bins.with_rows", f"{CURVE}::test_bins_tell_nearly_what_the_rows_do")
def bins_hold_counts(with_rows):
    """Losses in bins lose their weights."""
    return lambda self, loss, log_weight: with_rows(self, loss, np.zeros_like(log_weight))


@bug(
    "raresim.measures.levels:level_of",
    "tests/measures/test_quantile_measures.py::test_a_level_is_the_decimal_number_that_is_written",
)
def level_by_subtraction(level_of):
    """One minus the tail in doubles."""
    return lambda tail: 1.0 - tail - 1e-15


WALKS = "tests/search/test_walks.py"


@bug("raresim.search.climbing:_is_beside_a_third", f"{WALKS}::test_all_sides_of_a_polygon_are_found")
def a_third_region_joins_two(is_beside):
    """Two regions are one where halfway between them lies a third."""
    return lambda at, points, two: False


@bug("raresim.search.walks:unseen_share", f"{WALKS}::test_the_more_regions_the_longer_the_search[4-32]")
def the_search_ends_at_a_share(unseen):
    """Walks end where the share of regions not found is small, however many there may be."""
    return lambda found, climbs: unseen(found, climbs) / max(found, 1)


@bug(
    "raresim.search.design_points:between",
    f"{WALKS}::test_points_between_axes_are_where_two_terms_make_the_event[5-signs1]",
)
def one_large_term_is_all(between):
    """Of a sum, only the axes get draws, and what two terms make together has the largest weights."""
    return lambda evaluate, goal, points, most: (points[:0], 0)


# --- searches and audits that a loss's scale cannot fool, and rounds ---------------------------------

HITS = "tests/search/test_hits.py"
SOUNDINGS = "tests/run/test_soundings.py"
ROUNDS = "tests/run/test_rounds.py"


@bug("raresim.search.hits:_Search.draw", f"{HITS}::test_planes_of_any_slopes_are_both_found[1000000.0-10]")
def hits_of_the_largest_losses(draw):
    """Of the hits of a widened target the search takes those with the largest losses: it sees slopes."""

    def largest(self, width, n, rng):
        u = draw(self, width, n, rng)
        loss = self.look(u) if len(u) else np.empty(0)
        return u[loss >= np.quantile(loss, 0.8)] if len(u) else u

    return largest


@bug("raresim.search.hits:_arc", f"{HITS}::test_two_regions_are_not_joined_by_the_way_between_them")
def arcs_far_outside(arc):
    """The arc that tells two regions apart runs so far out that it is in the event everywhere."""
    return lambda a, b: 3.0 * arc(a, b)


@bug("raresim.search.nearest:_new_normal", f"{HITS}::test_the_corner_of_two_planes_is_found[5.0-10]")
def one_limit_state_of_a_corner(new_normal):
    """Once a limit state is known that ends the event, no second one is looked for."""
    return lambda *given: None if given[4] else new_normal(*given)


@bug("raresim.search.hits:_Search.inside", f"{HITS}::test_rows_without_a_loss_are_no_hits[nan]")
def failed_rows_are_hits(inside):
    """What is not below the threshold is in the event, and so is a row without a loss."""
    return lambda self, u: ~(self.look(u) < self.goal)


@bug(
    "raresim.run.audit:audit",
    f"{ROUNDS}::test_estimate_and_audit_of_a_round_have_draws_of_their_own",
)
def audit_draws_what_the_search_drew(audit):
    """The stages of the audit are numbered from the beginning: its draws are those of the search."""

    def anew(session, *arguments, **options):
        session._stages = itertools.count()
        return audit(session, *arguments, **options)

    return anew


@bug(
    "raresim.run.path:Rounds.search_on",
    f"{ROUNDS}::test_estimate_and_audit_of_a_round_have_draws_of_their_own",
)
def repaired_estimate_draws_what_it_was_fitted_to(search_on):
    """After another search the stages begin anew, and the estimate has the draws that its proposal is fitted to."""

    def on(self, missed, rows):
        search_on(self, missed, rows)
        self.found.session._stages = itertools.count()

    return on


@bug(
    "raresim.run.path:Rounds.search_on",
    f"{ROUNDS}::test_the_estimate_after_heavy_weights_has_as_many_rows_at_least",
)
def smaller_sample_after_heavy_weights(search_on):
    """The estimate after one with heavy weights ends as early as it likes: with weights that met no tail."""
    return lambda self, missed, rows: search_on(self, missed, 0)


@bug("raresim.run.audit:audit", f"{ROUNDS}::test_the_verdict_is_that_of_the_last_round[first]")
def verdict_of_the_best_round(audit):
    """Of the audits of all rounds the one that found least decides."""
    best = []

    def kindest(*arguments, **options):
        best.append(audit(*arguments, **options))
        return min(best, key=lambda found: found.diagnostics(0).get("soundings_uncovered") or 0.0)

    return kindest


@bug("raresim.run.soundings:_laws", f"{SOUNDINGS}::test_draws_around_points_weigh_to_the_probability")
def soundings_weighed_by_half_of_their_law(laws):
    """Half of the draws lie around the points, and the density is that of those beyond the planes."""

    def halved(regions):
        law = laws(regions)
        beyond = law.components[::2]
        half = replace(law, weights=np.full(len(beyond), 1.0 / len(beyond)), components=beyond)
        object.__setattr__(law, "logpdf", half.logpdf)
        return law

    return halved


@bug(
    "raresim.run.soundings:Sound._read",
    f"{SOUNDINGS}::test_an_estimate_that_misses_one_of_two_unlike_planes_is_flagged[10]",
)
def soundings_count_what_is_covered(read):
    """Failing draws that the estimate hardly makes are left out of what soundings find."""

    def covered(self, *arguments):
        seen = read(self, *arguments)
        return replace(seen, uncovered=np.minimum(seen.uncovered, 0.0))

    return covered


@bug("raresim.run.audit:audit", f"{AUDIT}::test_what_was_spent_before_does_not_shrink_the_least_audit")
def audit_is_a_share_of_what_was_spent(audit):
    """An estimate with a looser error is audited less."""

    def share(session, job, sample, extent, spent, left, samples=None):
        return audit(session, job, sample, extent, spent, min(left, 2000 + 5 * spent), samples)

    return share


@bug("raresim.run.rounds:Round.evaluations", f"{ROUNDS}::test_rounds_are_part_of_what_a_run_costs")
def estimates_of_rounds_not_counted(evaluations):
    """Of a round that another one followed only the audit is counted."""
    return property(lambda self: self.audit)


@bug("raresim.run.rounds:repairs", f"{ROUNDS}::test_another_round_needs_a_method_a_finding_and_two_audits_of_budget")
def asked_until_it_is_trusted(repairs):
    """Rounds go on until an audit finds nothing."""
    return lambda rounds: 0


@bug(
    "raresim.run.checkpoint:Checkpoint.begin_round",
    f"{ROUNDS}::test_a_checkpoint_hands_each_round_its_own_progress",
)
def resumed_in_the_first_round_with_the_progress_of_the_second(begin_round):
    """A resumed run hands the progress of the round that was interrupted to the first one."""
    return lambda self, number: self.progress


@bug("raresim.run.path:Rounds.is_extended", f"{ROUNDS}::test_an_estimate_that_was_audited_on_the_way_is_extended")
def every_round_extended(is_extended):
    """Evaluations that are added to a finished run are added to each of its rounds."""
    return property(lambda self: self.extension is not None)


@bug(
    "raresim.distributions.beyond_sphere:BeyondSphere.sample",
    "tests/distributions/test_beyond_sphere.py::test_distances_follow_the_chi_law_beyond_the_radius",
)
def sphere_without_its_tail(sample):
    """Draws are put on the sphere itself, not beyond it."""

    def shell(self, rng, x):
        sample(self, rng, x)
        inside = x @ self.basis
        length = np.sqrt(np.square(inside).sum(axis=1))
        inside *= (self.radius * (1.0 + 1e-9) / length - 1.0)[:, None]
        x += inside @ self.basis.T

    return shell


@bug("raresim.diagnostics.canary:Ring.log_probability", f"{CANARY}::test_a_ring_has_the_probability_that_it_says")
def ring_without_an_end(log_probability):
    """The canary's rings are taken for all that lies beyond them."""

    def beyond(self):
        from raresim.distributions.masses import log_chi_tail

        return float(log_chi_tail(self.basis.shape[1], np.array([self.low]), upper=True)[0])

    return property(beyond)


# --- events and thresholds ---------------------------------------------------------------------------


@bug(
    "raresim.measures.often:often",
    "tests/measures/test_often.py::test_18_1_the_odds_are_those_of_the_sums_inside_and_outside",
)
def odds_without_what_is_outside(often):
    """The error of the odds is that of the weights in the event alone."""

    def inside_alone(inside, outside, k, log_bound):
        found = often(inside, outside, k, log_bound)
        return found and replace(found, odds_error=1.0 / math.sqrt(inside.ess(k)))

    return inside_alone


@bug(
    "raresim.measures.base:LossScale.error_at",
    "tests/measures/test_probability.py::test_18_4_intervals_hold_although_the_threshold_is_estimated",
)
def standard_deviation_without_an_error(error_at):
    """A threshold of five standard deviations is as well known as the mean."""
    return lambda self, sigmas: error_at(self, 0.0)


@bug(
    "raresim.run.rough_quantiles:Quantiles.floor",
    "tests/measures/test_quantile_measures.py::test_18_3_var_and_es_near_and_below_the_median_are_read[0.9-crude]",
)
def floor_at_the_median(floor):
    """Rows below the median are never kept, whatever is read from them."""
    return lambda self, tails: self.quantile(min(0.5, 4.0 * max(tails)))


BUGS = tuple(_seeded)
