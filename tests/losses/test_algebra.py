"""The event algebra: what is an event, its probability where that is exact, its parts, and what is refused."""

import math
import pickle

import numpy as np
import pytest
from scipy.special import ndtr

import raresim
from raresim import (
    AtLeast,
    Complement,
    Event,
    Independent,
    Intersection,
    Linear,
    ParallelSystem,
    Probability,
    PythonLoss,
    SeriesSystem,
    StandardNormal,
    Union,
    marginals,
)
from raresim.config import load as configs
from raresim.errors import ConfigError, FieldError, LossError
from raresim.losses.failures import collecting
from raresim.losses.system import combined
from tests.helpers import losses, normals
from tests.statistical import assert_within_error

INPUTS = StandardNormal(dim=4)


def factor(k, scale=1.0):
    return Linear(weights=[scale * (j == k) for j in range(4)])


def above(k, threshold):
    return Event(loss=factor(k), above=threshold)


A, B, C, D = (above(k, 0.5) for k in range(4))
LOW = Event(loss=factor(3, scale=1e3), below=-500.0, scale=1e3)


def columns(x):
    """Two limit states, of which any makes the loss."""
    return x[:, :2]


ANY_OF_TWO = PythonLoss(function=columns, limit_states=["g1", "g2"])

# a tree -> the same event as a formula of a, b, c, d (each factor at least 0.5) and low, and its limit states
TREES = {
    "union": (Union(parts={"a": A, "b": B, "c": C}), lambda a, b, c, d, low: a | b | c, "a b c"),
    "series": (SeriesSystem(parts={"a": A, "low": LOW}), lambda a, b, c, d, low: a | low, "a low"),
    "parallel": (ParallelSystem(parts={"a": A, "low": LOW}), lambda a, b, c, d, low: a & low, "a low"),
    "2 of 4": (
        AtLeast(count=2, parts={"a": A, "b": B, "c": C, "d": D}),
        lambda a, b, c, d, low: a.astype(int) + b + c + d >= 2,
        "a b c d",
    ),
    "union of unions": (
        Union(parts={"a": A, "rest": SeriesSystem(parts={"b": B, "c": C})}),
        lambda a, b, c, d, low: a | b | c,
        "a rest.b rest.c",
    ),
    "union of cuts": (
        Union(parts={"a": A, "cut": Intersection(parts={"b": B, "c": C})}),
        lambda a, b, c, d, low: a | (b & c),
        "a cut",
    ),
    "intersection of intersections": (
        Intersection(parts={"ab": Intersection(parts={"a": A, "b": B}), "or": Union(parts={"c": C, "d": D})}),
        lambda a, b, c, d, low: a & b & (c | d),
        "ab.a ab.b or",
    ),
    "k of n stays whole": (
        AtLeast(count=2, parts={"a": A, "or": Union(parts={"b": B, "c": C}), "low": LOW}),
        lambda a, b, c, d, low: (a & (b | c)) | (a & low) | ((b | c) & low),
        "a or low",
    ),
    "complement": (Complement(parts={"a": A}), lambda a, b, c, d, low: ~a, ""),
    "complement of a complement": (
        Complement(parts={"not": Complement(parts={"both": Union(parts={"a": A, "low": LOW})})}),
        lambda a, b, c, d, low: a | low,
        "not not a,not not low",
    ),
    "complement of 2 of 4": (
        Complement(parts={"some": AtLeast(count=2, parts={"a": A, "b": B, "c": C, "d": D})}),
        lambda a, b, c, d, low: a.astype(int) + b + c + d < 2,
        "not a,not b,not c,not d",
    ),
    "difference": (
        Intersection(parts={"a": A, "no b": Complement(parts={"b": B})}),
        lambda a, b, c, d, low: a & ~b,
        "a,no b",
    ),
    "limit states of a loss": (
        Union(parts={"two": Event(loss=ANY_OF_TWO, above=0.5), "c": C}),
        lambda a, b, c, d, low: a | b | c,
        "two.g1 two.g2 c",
    ),
    "limit states the other way round": (
        Intersection(parts={"two": Event(loss=ANY_OF_TWO, below=np.nextafter(0.5, 0.0)), "c": C}),
        lambda a, b, c, d, low: ~a & ~b & c,
        "two.g1 two.g2 c",
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_the_event_that_its_formula_says(name, seed):
    """Also where a factor lies on a threshold, which belongs to the event and not to its complement."""
    tree, formula, names = TREES[name]
    x = normals(400, 4, seed(871))
    x[:200] = np.random.default_rng(seed(872)).choice([0.5, np.nextafter(0.5, 0.0), -0.5, 1.0], size=(200, 4))
    bound = pickle.loads(pickle.dumps(tree.bind(INPUTS)))
    held = losses(bound, x) >= 0.0
    np.testing.assert_array_equal(held, formula(*(x[:, k] >= 0.5 for k in range(4)), x[:, 3] <= -0.5))
    assert 0 < held.sum() < 400
    assert bound.limit_state_names == tuple(names.split("," if "," in names else None))
    assert bound.has_threshold
    if names:
        np.testing.assert_array_equal(combined(bound.states(x), bound.at_least), losses(bound, x))
        assert bound.states(x).shape == (400, len(bound.limit_state_names))


def test_parts_without_thresholds_have_that_of_the_measure():
    x = normals(50, 4, 873)
    tree = Union(parts={"a": factor(0), "both": Intersection(parts={"b": factor(1), "c": lambda x: 2.0 * x[:, 2]})})
    assert not tree.has_threshold
    np.testing.assert_allclose(
        losses(tree.bind(INPUTS), x), np.maximum(x[:, 0], np.minimum(x[:, 1], 2.0 * x[:, 2])), rtol=1e-15
    )


# --- exact probabilities ------------------------------------------------------------------------------

P, Q = ndtr(-4.0), ndtr(-2.5)

EXACT = {
    "union of cuts": (
        Union(parts={"a": above(0, 4.0), "cut": Intersection(parts={"b": above(1, 2.5), "c": above(2, 2.5)})}),
        1.0 - (1.0 - P) * (1.0 - Q**2),
        {"a": P, "cut": Q**2},
    ),
    "2 of 4": (
        AtLeast(count=2, parts={name: above(k, 2.5) for k, name in enumerate("abcd")}),
        6 * Q**2 * (1 - Q) ** 2 + 4 * Q**3 * (1 - Q) + Q**4,
        dict.fromkeys("abcd", Q * (1 - (1 - Q) ** 3)),
    ),
    "none of two": (
        Complement(parts={"any": Union(parts={"a": above(0, -2.5), "b": above(1, -2.5)})}),
        Q**2,
        {"not a": Q**2, "not b": Q**2},
    ),
}


@pytest.mark.statistical(effect=0.6, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("name", EXACT)
def test_systems_of_independent_normals_reach_their_exact_answers(name, seed):
    tree, exact, shares = EXACT[name]
    result = raresim.estimate(
        INPUTS, tree, Probability(above=0.0), relative_error=0.05, max_evaluations=200_000, seed=seed(874)
    )
    found = result.estimates[0]
    assert_within_error(found.value, exact, found.std_error)
    assert found.relative_error <= 0.05
    assert result.verdict.status in ("trusted", "caution")
    table = result.exhibit("limit_states").to_frame()
    assert sorted(table["limit_state"]) == sorted(shares)
    for part, share, error in zip(table["limit_state"], table["share"], table["std_error"], strict=True):
        assert_within_error(share, shares[part] / exact, max(float(error), 1e-12))


# --- failures and noise -------------------------------------------------------------------------------


def failing_at(k):
    def loss(x):
        if (x[:, k] > 8.0).any():
            raise ZeroDivisionError("no premium")
        return x[:, k]

    return loss


def test_a_row_that_fails_in_two_parts_is_one_failed_row():
    """The second part is not asked for it; the places of the rows are those of the call."""
    seen = []

    def second(x):
        seen.append(x.copy())
        return failing_at(1)(x)

    x = normals(20, 4, 875)
    x[[3, 7], 0], x[[7, 11], 1] = 9.0, 9.0
    parts = {name: PythonLoss(function=f, on_failure="bound") for name, f in (("a", failing_at(0)), ("b", second))}
    with collecting() as found:
        out = losses(Union(parts={**parts, "c": factor(2)}).bind(INPUTS), x)
    assert np.flatnonzero(np.isnan(out)).tolist() == [3, 7, 11]
    np.testing.assert_array_equal(np.delete(out, [3, 7, 11]), np.delete(x[:, :3].max(axis=1), [3, 7, 11]))
    assert found.failures.place[:, 2].tolist() == [3, 7, 11]
    assert found.failures.message[2].startswith("part b: raised ZeroDivisionError")
    assert not any((rows[:, 0] == 9.0).any() for rows in seen)


def test_the_error_of_a_part_names_it_and_the_row():
    x = normals(20, 4, 876)
    x[5, 0] = 9.0
    inner = Intersection(parts={"b": failing_at(0), "c": factor(1)})
    with pytest.raises(LossError, match=r"^part cut: part b: loss loss: raised ZeroDivisionError: no premium") as error:
        losses(Union(parts={"a": factor(2), "cut": inner}).bind(INPUTS), x)
    assert error.value.failures.place[:, 2].tolist() == [5]


def test_a_part_with_a_time_limit_needs_the_main_thread():
    slow = PythonLoss(function=columns, limit_states=["g1", "g2"], timeout=9.0)
    for loss, needs in ((slow, True), (ANY_OF_TWO, False)):
        inner = Intersection(parts={"two": Event(loss=loss, above=1.0), "c": C})
        assert Union(parts={"a": A, "inner": inner}).needs_main_thread == needs


def test_a_part_of_another_length_is_refused():
    tree = Union(parts={"a": factor(0), "half": lambda x: x[: len(x) // 2, 0]})
    with pytest.raises(
        LossError, match=r"^part half: loss .*: must return an array of shape \(10,\), got shape \(5,\)"
    ):
        losses(tree.bind(INPUTS), normals(10, 4, 877))


@pytest.mark.parametrize("evaluate", [losses, lambda loss, x: loss.states(x)])
def test_noise_of_a_part_that_the_others_hide_is_refused(evaluate):
    noise = np.random.default_rng(1)
    x = normals(30, 4, 878)
    hidden = Event(loss=lambda x: noise.normal(size=len(x)), above=9.0)
    tree = Union(parts={"a": Event(loss=factor(0), above=-1e3), "b": hidden})
    watched = tree.bind(INPUTS).watched()
    with pytest.raises(LossError, match=r"loss union: gives .* called twice: it has noise of its own"):
        watched.refuse_noise(x, evaluate(watched, x), 0.1)
    calm = Union(parts={"a": lambda x: x[:, 0], "b": factor(1)}).bind(INPUTS).watched()
    calm.refuse_noise(x, evaluate(calm, x), 0.1)


# --- bad input ----------------------------------------------------------------------------------------

REFUSED = {
    "none": (lambda: Union(parts={}), "parts: must name the parts of the union, got none"),
    "one": (
        lambda: AtLeast(count=1, parts={"a": A}),
        "parts: must be at least two, got only 'a': give that loss by it",
    ),
    "a list": (lambda: Union(parts=[A, B]), "parts: must be a mapping from names to"),
    "no loss": (lambda: Union(parts={"a": A, "b": 3.0}), "parts: entry 'b' must be a loss or a function, got 3.0"),
    "name": (lambda: Union(parts={"a": A, " ": B}), "parts: must have names without spaces around them, got ' '"),
    "mixed": (lambda: Union(parts={"a": A, "b": factor(1)}), "must all have a threshold or none: 'a' has its own, 'b'"),
    "too many": (
        lambda: AtLeast(count=3, parts={"a": A, "b": B}),
        "count: must be from 1 to the number of parts, 2, go",
    ),
    "too few": (lambda: AtLeast(count=0, parts={"a": A, "b": B}), "count: must be at least 1, got 0"),
    "several": (lambda: Complement(parts={"a": A, "b": B}), r"parts: must be one part, got 2: .*none of them happens"),
    "no threshold": (lambda: Complement(parts={"a": factor(0)}), "parts: must have a threshold of its own, so that"),
    "two thresholds": (lambda: Event(loss=factor(0), above=1.0, below=2.0), "above: give either above or below"),
    "neither": (lambda: Event(loss=factor(0)), "above: give either above or below, the threshold of the event"),
    "infinite": (lambda: Event(loss=factor(0), below=math.inf), "below: must be finite, got inf"),
    "scale": (lambda: Event(loss=factor(0), above=1.0, scale=-1.0), "scale: must be positive"),
    "event of an event": (
        lambda: Event(loss=A, above=1.0),
        "loss: must be a loss without a threshold, got one of kind",
    ),
    "names that repeat": (
        lambda: Union(parts={"a.b": A, "a": Union(parts={"b": B, "c": C})}).bind(INPUTS),
        "parts: must have limit states of different names, got 'a.b' twice",
    ),
    "weights of a part": (
        lambda: Union(parts={"a": A, "b": Event(loss=Linear(weights=[1.0]), above=1.0)}).bind(INPUTS),
        r"parts.b.loss.weights: must have 4 entries, got 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    make, words = REFUSED[case]
    with pytest.raises(FieldError, match=words):
        make()


def test_a_limit_state_that_fails_below_is_an_event_and_not_a_measure():
    with pytest.raises(FieldError, match=r"must ask `above`.*kind: event"):
        raresim.estimate(4, Union(parts={"a": factor(0), "b": factor(1)}), Probability(below=0.0), seed=1)


def test_parts_that_fail_one_by_one_have_shares_and_no_contributions():
    measures = [raresim.ValueAtRisk(level=0.99), raresim.Contributions(level=0.99)]
    with pytest.raises(
        FieldError, match=r"contributions needs a loss that its parts add up to, those of kind 'union' fail one by"
    ):
        raresim.estimate(4, Union(parts={"a": factor(0), "b": factor(1)}), measures, seed=1)


# --- in YAML ------------------------------------------------------------------------------------------

CONFIG = """\
seed: 1
inputs: {kind: independent, marginals: {p: {kind: normal}, q: {kind: normal}}}
loss:
  kind: union
  parts:
    pump: {kind: event, loss: {kind: linear, weights: {p: 1, q: 0}}, above: 3}
    rest:
      kind: at_least
      count: 2
      parts:
        q: {kind: event, loss: {kind: linear, weights: [0, 1]}, below: -2}
        not p: {kind: complement, parts: {p: {kind: event, loss: {kind: linear, weights: [1, 0]}, above: -2}}}
measures: [{kind: probability, above: 0}]
"""


def test_a_config_is_the_tree_that_it_writes(tmp_path):
    (tmp_path / "run.yaml").write_text(CONFIG)
    config = configs.load(tmp_path / "run.yaml")
    config.outline()
    bound = config.experiment().check()
    assert bound.limit_state_names == ("pump", "rest")
    x = normals(1000, 2, 879)
    np.testing.assert_array_equal(losses(bound, x) >= 0.0, (x[:, 0] >= 3.0) | ((x[:, 1] <= -2.0) & (x[:, 0] < -2.0)))
    assert bound.describe() == [
        "union of 2 parts: the event is that any of them fails",
        "pump: linear portfolio: loss = sum of w_i x_i, 2 weights, 0 to 1; the event is that it is at least 3",
        "rest: system of 2 parts: the event is that at least 2 of them fail",
        "rest.q: linear portfolio: loss = sum of w_i x_i, 2 weights, 0 to 1; the event is that it is at most -2",
        "rest.not p: complement: the event is that p does not happen",
        "rest.not p.p: linear portfolio: loss = sum of w_i x_i, 2 weights, 0 to 1; the event is that it is at least -2",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "kind: at_least",
            "kind: atleast",
            ":8:7: loss.parts.rest.kind: unknown kind 'atleast'; did you mean 'at_least'?",
        ),
        ("        q: ", "        not p: ", ':12:9: found duplicate key "not p"'),
        ("count: 2", "count: 3", ":9:7: loss.parts.rest.count: must be from 1 to the number of parts, 2, got 3"),
        (", above: 3", "", ":6:5: loss.parts.pump.above: give either above or below"),
        ("kind: union", "kind: union\\n  parts: {}", "found duplicate key"),
        (
            "weights: [0, 1]",
            "weights: [0, 1, 2]",
            ":11:47: loss.parts.rest.parts.q.loss.weights: must have 2 entries, got 3",
        ),
        ("above: 0}]", "below: 0}]", ":13:1: measures: must ask `above`"),
    ],
)
def test_check_names_the_part_that_is_wrong(tmp_path, old, new, words):
    (tmp_path / "run.yaml").write_text(CONFIG.replace(old, new.replace("\\n", "\n")))
    with pytest.raises(ConfigError) as error:
        configs.load(tmp_path / "run.yaml").outline()
    assert words in str(error.value)


@pytest.mark.parametrize("parts", ["[]", "{}", "[{kind: linear, weights: equal}]"])
def test_parts_of_a_config_are_a_mapping(tmp_path, parts):
    text = CONFIG[: CONFIG.index("  parts:")] + f"  parts: {parts}\n" + CONFIG[CONFIG.index("measures") :]
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r":5:3: loss.parts: must (be a mapping, got|name the parts of the union)"):
        configs.load(tmp_path / "run.yaml").outline()


BRIDGE = {"x1": 0.25, "x2": 0.4, "x3": 0.1, "x4": 0.3, "x5": 0.2}
PATHS = {"x1 x4": [1, 0, 0, 1, 0], "x2 x5": [0, 1, 0, 0, 1], "x1 x3 x5": [1, 0, 1, 0, 1], "x2 x3 x4": [0, 1, 1, 1, 0]}


def test_the_bridge_is_its_four_paths():
    """BRIDGE-CE of de Boer, Kroese, Mannor & Rubinstein (2005): no path through the bridge is shorter than 2."""
    inputs = Independent(marginals={name: marginals.Exponential(scale=mean) for name, mean in BRIDGE.items()})
    paths = {name: Event(loss=Linear(weights=[float(w) for w in on]), above=2.0) for name, on in PATHS.items()}
    x = np.asfortranarray(np.random.default_rng(5).exponential(1.5, size=(500, 5)))
    shortest = (x @ np.array(list(PATHS.values()), dtype=float).T).min(axis=1)
    np.testing.assert_allclose(losses(ParallelSystem(parts=paths).bind(inputs), x), shortest - 2.0, atol=1e-14)
