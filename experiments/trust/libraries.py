"""The same problems by other libraries, with their own sign that a run has converged: a coefficient of variation.

raresim does not depend on OpenTURNS and pystra: ``run.py --libraries`` needs an environment in which both are
installed beside it. Every problem is given to them as a function of independent standard normals.

A method that stops by itself (importance sampling around the design point of FORM) is asked for 5 %. A method whose
user sets the size of the sample (cross-entropy, NAIS, subset sampling) is run with 1,000 draws a level, and again with
four times as many while it reports more than 5 % and the next size is within the budget. The largest sample gives the
answer; the evaluations of the others are counted.

A run ends without an estimate after twice the budget or `SECONDS` of processor time. A cell ends after 200 seeds or
`CELL_SECONDS` of processor time, so slow cells have fewer seeds.
"""

from __future__ import annotations

import contextlib
import io
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import FrameType
from typing import Any

import numpy as np
from runs import OutOfTime
from suite import CASES, Case
from threadpoolctl import threadpool_limits

from raresim.numerics.arrays import Float
from raresim.record.event import Event

try:
    import openturns as ot
    import pystra
except ImportError:
    ot = pystra = None

ERROR = 0.05
BUDGET = 100_000
LEVEL_DRAWS = (1_000, 4_000, 16_000)
BLOCK = 1_000
SECONDS, CELL_SECONDS = 10.0, 20.0

ROUND = 10
"""Seeds that every cell gets before any cell gets more."""

FILE = "libraries"

Key = tuple[str, str, int]
"""Method, problem, seed."""


@dataclass(frozen=True)
class Rival:
    """A row of the file of other libraries.

    Parameters
    ----------
    method, problem, seed
        What was run; the method names its library.
    estimate, variation : float
        The probability, and the coefficient of variation that the library reports; NaN without an estimate.
    calls : int
        Rows that the limit state was given, all tries included.
    seconds : float
        Processor time.
    outcome : str
        The message where there is no estimate.
    version : str
        Version of the library.
    """

    method: str
    problem: str
    seed: int
    estimate: float
    variation: float
    calls: int
    seconds: float
    outcome: str
    version: str

    @property
    def key(self) -> Key:
        return self.method, self.problem, self.seed

    @property
    def file(self) -> str:
        return FILE


@dataclass(eq=False)
class LimitState:
    """A problem as a function of standard normals that fails at or below zero; it counts rows and stops at ``most``."""

    case: Case
    most: int = 2 * BUDGET
    rows: int = 0

    def __call__(self, u: Float) -> Float:
        self.rows += len(u)
        if self.rows > self.most:
            raise RuntimeError(f"more than {self.most:,} evaluations")
        problem = self.case.problem
        event: Event = problem.measure.questions(_no_scale, _no_quantile)[0].event
        buffer = np.empty((len(u), problem.inputs.dim), order="F")
        x = problem.inputs.to_physical(np.asfortranarray(u), buffer)
        return np.asarray(event.sign * (event.threshold - problem.loss(x)), dtype=np.float64)


def _no_quantile(tail: float) -> float:
    raise ValueError(f"no threshold of the suite is a quantile, {tail:g}")


def _no_scale() -> Any:
    raise ValueError("thresholds of the suite are in the unit of the loss")


Answer = tuple[float, float]
"""A probability and its coefficient of variation."""


def _event(state: LimitState) -> Any:
    dim = state.case.problem.dim

    def sample(u: Any) -> Float:
        return state(np.array(u, dtype=np.float64))[:, None]

    function = ot.PythonFunction(dim, 1, func_sample=sample)
    vector = ot.CompositeRandomVector(function, ot.RandomVector(ot.Normal(dim)))
    return ot.ThresholdEvent(vector, ot.LessOrEqual(), 0.0)


def _growing(make: Callable[[Any], Any], state: LimitState) -> Answer:
    """The answer of an algorithm whose user sets the draws of a level; ``make`` takes the event."""
    answer = math.nan, math.nan
    for draws in LEVEL_DRAWS:
        before = state.rows
        algorithm = make(_event(state))
        algorithm.setBlockSize(1)
        algorithm.setMaximumOuterSampling(draws)
        algorithm.setMaximumCoefficientOfVariation(ERROR)
        algorithm.run()
        result = algorithm.getResult()
        answer = result.getProbabilityEstimate(), result.getCoefficientOfVariation()
        growth = LEVEL_DRAWS[1] // LEVEL_DRAWS[0]
        if 0.0 <= answer[1] <= ERROR or growth * (state.rows - before) > BUDGET:
            break
    return answer


def openturns_cross_entropy(state: LimitState) -> Answer:
    return _growing(ot.StandardSpaceCrossEntropyImportanceSampling, state)


def openturns_nais(state: LimitState) -> Answer:
    return _growing(ot.NAIS, state)


def openturns_subset(state: LimitState) -> Answer:
    return _growing(ot.SubsetSampling, state)


def openturns_form(state: LimitState) -> Answer:
    """FORM from a random start, then importance sampling around its design point."""
    event, dim = _event(state), state.case.problem.dim
    form = ot.FORM(ot.AbdoRackwitz(), event, ot.Normal(dim).getRealization())
    form.run()
    centre = form.getResult().getStandardSpaceDesignPoint()
    law = ot.Normal(centre, ot.CovarianceMatrix(dim))
    algorithm = ot.ProbabilitySimulationAlgorithm(event, ot.ImportanceSamplingExperiment(law))
    algorithm.setBlockSize(BLOCK)
    algorithm.setMaximumOuterSampling(max(1, (BUDGET - state.rows) // BLOCK))
    algorithm.setMaximumCoefficientOfVariation(ERROR)
    algorithm.run()
    result = algorithm.getResult()
    return result.getProbabilityEstimate(), result.getCoefficientOfVariation()


def pystra_importance(state: LimitState) -> Answer:
    """pystra's importance sampling around the design point of its FORM, which starts in the mean."""
    names = [f"x{k}" for k in range(state.case.problem.dim)]
    model = pystra.StochasticModel()
    for name in names:
        model.addVariable(pystra.Normal(name, 0.0, 1.0))

    def state_of(**factors: Float) -> Float:
        columns = np.broadcast_arrays(*(np.atleast_1d(factors[name]) for name in names))
        return state(np.column_stack([np.ravel(column) for column in columns])) - 1e-9  # it fails below zero

    options = pystra.AnalysisOptions()
    options.setPrintOutput(False)
    options.setSamples(BUDGET)
    options.setBlockSize(BLOCK)
    options.sim_cov = ERROR
    run = pystra.ImportanceSampling(
        analysis_options=options, stochastic_model=model, limit_state=pystra.LimitState(state_of)
    )
    run.run()
    return float(run.Pf), float(run.cov_q_bar[run.k - 1])


METHODS: dict[str, Callable[[LimitState], Answer]] = {
    "OpenTURNS FORM, importance sampling": openturns_form,
    "pystra FORM, importance sampling": pystra_importance,
    "OpenTURNS subset sampling": openturns_subset,
    "OpenTURNS cross-entropy": openturns_cross_entropy,
    "OpenTURNS NAIS": openturns_nais,
}


def rival(method: str, id: str, seed: int, seconds: float = SECONDS) -> Rival:
    """One run; any error is part of the result."""
    ot.RandomGenerator.SetSeed(seed)
    np.random.seed(seed)  # noqa: NPY002  # pystra draws from NumPy's global generator
    state = LimitState(CASES[id])
    begun, answer, outcome = time.process_time(), (math.nan, math.nan), ""
    try:
        with (
            threadpool_limits(1),
            time_limit(seconds),
            contextlib.redirect_stdout(io.StringIO()),
            np.errstate(all="ignore"),
        ):
            answer = METHODS[method](state)
    except (OutOfTime, Exception) as error:  # OpenTURNS turns an exception of a function into its own
        late, much = time.process_time() - begun >= seconds, state.rows > state.most
        said = f"{type(error).__name__}: {error}".split("\n")[0][:100]
        outcome = f"not done after {seconds:g} s" if late else f"over {state.most:,} evaluations" if much else said
    seconds_taken = float(f"{time.process_time() - begun:.3g}")
    version = metadata.version(method.partition(" ")[0].lower())
    return Rival(method, id, seed, *map(float, answer), state.rows, seconds_taken, outcome, version)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block after so many seconds of processor time, so that a busy machine changes no row."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def run_all(keys: Iterable[Key], there: Mapping[Key, Rival]) -> Iterator[Rival]:
    """The runs of ``keys`` that are not ``there``, in order; runs that are there count in the time of their cell."""
    if ot is None:
        raise SystemExit("--libraries: install openturns and pystra beside raresim")
    ot.TBB.Disable()
    ot.Log.Show(ot.Log.NONE)
    spent: dict[tuple[str, str], float] = defaultdict(float)
    for key in keys:
        cell = key[:2]
        if key in there:
            spent[cell] += there[key].seconds
        elif spent[cell] < CELL_SECONDS:
            run = rival(*key)
            spent[cell] += run.seconds
            yield run
