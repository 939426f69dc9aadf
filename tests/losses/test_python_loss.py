"""A user's loss function: each thing that can be wrong with it is said in the documented words."""

import math
import pickle
import re
import textwrap

import numba
import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import Normal, Probability, PythonLoss, StandardNormal
from raresim.errors import ExitCode, FieldError, LossError
from raresim.losses.failures import collecting
from raresim.losses.system import combined
from tests.helpers import losses, normals
from tests.statistical import assert_within_error

INPUTS = StandardNormal(dim=3)
UP = Probability(above=3.0)


def bound(function, **options):
    return PythonLoss(function=function, **options).bind(INPUTS)


def total(x):
    return x.sum(axis=1)


def nan_in_row_seven(x):
    return np.where(np.arange(len(x)) == 7, np.nan, x[:, 0])


def infinite_twice(x):
    return np.where(np.arange(len(x)) % 25 == 24, np.inf, x[:, 0])


def raises(x):
    raise ZeroDivisionError("no premium")


def object_array(x):
    out = np.empty(len(x), dtype=object)
    out[:] = "a lot"
    return out


def ragged(x):
    return [[1.0], [1.0, 2.0]]


# --- what a vectorised function may not do -----------------------------------------------------------

BAD = [
    (raises, "raised ZeroDivisionError: no premium (test_python_loss.py, line "),
    (lambda x: None, "must return real numbers, got NoneType None"),
    (lambda x: "much", "must return real numbers, got str 'much'"),
    (lambda x: x[:, 0] + 1j, "must return real numbers, got an array of complex128"),
    (object_array, "must return real numbers, got an array of object"),
    (lambda x: np.full(len(x), "high"), "must return real numbers, got an array of <U4"),
    (lambda x: np.zeros(len(x), dtype="datetime64[s]"), "must return real numbers, got an array of datetime64[s]"),
    (lambda x: {"loss": x}, "must return real numbers, got dict {'loss': array("),
    (ragged, "must return numbers, got [[1.0], [1.0, 2.0]]"),
    (lambda x: x, "must return an array of shape (50,), got shape (50, 3)"),
    (lambda x: x[:, :1], "must return an array of shape (50,), got shape (50, 1)"),
    (lambda x: x[:10, 0], "must return an array of shape (50,), got shape (10,)"),
    (lambda x: 1.0, "must return an array of shape (50,), got shape ()"),
    (nan_in_row_seven, "must be finite, got nan for 1 of 50 rows, first for the scenario ["),
    (infinite_twice, "must be finite, got inf for 2 of 50 rows, first for the scenario ["),
]


@pytest.mark.parametrize(("function", "message"), BAD, ids=[m[:48] for _, m in BAD])
def test_what_is_wrong_is_said_in_full(function, message):
    with pytest.raises(LossError) as caught:
        losses(bound(function), normals(50, 3, 241))
    assert str(caught.value).startswith(f"loss {function.__name__}: {message}")
    assert caught.value.exit_code == ExitCode.USER_CODE_OR_DATA


def test_the_scenario_that_failed_is_shown():
    x = normals(50, 3, 242)
    x[7] = [1.25, -2.5, 0.0]
    with pytest.raises(LossError, match=r"first for the scenario \[ 1\.25 -2\.5 {3}0\. {2}\]"):
        losses(bound(nan_in_row_seven), x)


def test_the_error_of_the_function_is_its_cause():
    with pytest.raises(LossError) as caught:
        losses(bound(raises), normals(5, 3, 243))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "called with an array of shape (5, 3)" in str(caught.value)


def test_the_line_that_is_named_is_in_the_users_file():
    """An error inside a library is reported where the user called it."""

    def solves(x):
        return np.linalg.solve(np.zeros((2, 2)), np.ones(2))

    with pytest.raises(LossError) as caught:
        losses(bound(solves), normals(5, 3, 244))
    assert "(test_python_loss.py, line " in str(caught.value)


def test_a_failing_block_can_be_found_again(seed):
    with pytest.raises(LossError, match=r"\[stage 0, block 0\]$"):
        raresim.estimate(3, raises, UP, "crude", seed=seed(245))


@pytest.mark.parametrize("value", [np.float32, np.int64, np.bool_, np.longdouble])
def test_any_real_type_is_a_loss(value):
    x = normals(50, 3, 246)
    np.testing.assert_array_equal(losses(bound(lambda x: (x[:, 0] > 0).astype(value)), x), x[:, 0] > 0)


def test_a_list_of_numbers_is_a_loss():
    x = normals(50, 3, 247)
    np.testing.assert_array_equal(losses(bound(lambda x: x[:, 0].tolist()), x), x[:, 0])


def test_masked_losses_are_not_taken_for_numbers():
    """What hides under a mask is not a loss: like NaN, it must not count as safe."""
    masked = bound(lambda x: np.ma.masked_array(x[:, 0], mask=x[:, 0] > 0))
    with pytest.raises(LossError):
        losses(masked, normals(50, 3, 248))


# --- what it may do ----------------------------------------------------------------------------------


def writes_into_its_input(x):
    out = x.sum(axis=1)
    x[:] = 1e9
    return out


@pytest.mark.parametrize("vectorised", [True, False])
def test_a_function_may_write_into_its_input_without_harm(vectorised):
    def row(x):
        out = x.sum()
        x[:] = 1e9
        return out

    x = normals(50, 3, 249)
    before = x.copy()
    got = losses(bound(writes_into_its_input if vectorised else row, vectorised=vectorised), x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(got, before.sum(axis=1), rtol=1e-13)


def test_writing_into_the_input_does_not_change_the_estimate(seed):
    runs = [raresim.estimate(3, f, UP, seed=seed(250), relative_error=0.1) for f in (total, writes_into_its_input)]
    assert runs[0].estimates[0].value == runs[1].estimates[0].value


def test_a_function_is_given_scenarios_as_rows_in_contiguous_columns():
    given = []
    losses(bound(lambda x: given.append(x.flags.f_contiguous and x.shape) or x[:, 0]), normals(50, 3, 251))
    assert given == [(50, 3)]


@pytest.mark.slow
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_a_function_compiled_by_numba_is_called_like_any_other(seed):
    import numba

    @numba.njit
    def compiled(x):
        out = np.empty(x.shape[0])
        for i in range(x.shape[0]):
            out[i] = x[i, 0] + x[i, 1] + x[i, 2]
        return out

    case = raresim.estimate(3, compiled, Probability(above=3 * math.sqrt(3)), seed=seed(252), relative_error=0.05)
    assert_within_error(case.estimates[0].value, stats.norm.sf(3.0), case.estimates[0].std_error)


# --- row by row --------------------------------------------------------------------------------------

BAD_ROWS = [
    (lambda row: None, "must return real numbers, got NoneType None"),
    (lambda row: row, "must return one number, got shape (3,); leave out `vectorised: false` if it takes whole arrays"),
    (lambda row: math.nan, "must be finite, got nan for 1 of 1 rows, first for the scenario ["),
    (lambda row: row.sum(axis=1), "raised AxisError: axis 1 is out of bounds"),
]


@pytest.mark.parametrize(("function", "message"), BAD_ROWS, ids=[m[:40] for _, m in BAD_ROWS])
def test_what_is_wrong_with_a_row_function_is_said_in_full(function, message):
    with pytest.raises(LossError) as caught:
        losses(bound(function, vectorised=False), normals(50, 3, 253))
    assert str(caught.value).startswith(f"loss {function.__name__}: {message}")


@pytest.mark.parametrize(
    "function", [lambda row: row[0] + row[2], lambda row: row[:1] + row[2], lambda row: int(row[0])]
)
def test_row_function_may_return_any_one_number(function):
    x = normals(50, 3, 254)
    np.testing.assert_array_equal(
        losses(bound(function, vectorised=False), x), [float(np.squeeze(function(r))) for r in x]
    )


# --- in parts ----------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")


def squares(x):
    return x**2


@pytest.mark.parametrize("names", [NAMES, True], ids=["named", "counted"])
@pytest.mark.parametrize(
    ("function", "vectorised"),
    [
        (squares, True),
        (lambda x: ((x**2).sum(axis=1), x**2), True),
        (lambda row: row**2, False),
        (lambda row: (row @ row, row**2), False),
        (lambda row: tuple(row**2), False),
        (lambda row: [float(value) for value in row**2], False),
    ],
    ids=["parts", "loss and parts", "parts of a row", "loss and parts of a row", "tuple of a row", "list of a row"],
)
def test_the_loss_is_the_sum_of_its_parts(function, vectorised, names):
    x = normals(50, 3, 260)
    loss = bound(function, vectorised=vectorised, parts=names)
    assert loss.component_names == (NAMES if names is not True else ("c1", "c2", "c3"))
    np.testing.assert_allclose(losses(loss, x), (x**2).sum(axis=1), rtol=1e-14)
    np.testing.assert_array_equal(loss.components(x), x**2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(bound(squares, parts=NAMES))).components(x), x**2)


def test_two_parts_of_a_row_are_no_pair_of_loss_and_parts():
    loss = bound(lambda row: (row[0], row[1]), vectorised=False, parts=["long", "short"])
    x = normals(50, 3, 261)
    np.testing.assert_array_equal(losses(loss, x), x[:, 0] + x[:, 1])


def test_without_names_there_are_no_parts():
    loss = bound(total)
    assert loss.component_names == ()
    assert loss.components(normals(5, 3, 262)) is None


BAD_PARTS = [
    (total, True, "must return the parts of the loss, shape (50, 3), got shape (50,)"),
    (lambda x: x[:, :2], True, "must return the parts of the loss, shape (50, 3), got shape (50, 2)"),
    (lambda x: x.T, True, "must return the parts of the loss, shape (50, 3), got shape (3, 50)"),
    (lambda x: (total(x), x[:, :2]), True, "must return the parts of the loss, shape (50, 3), got shape (50, 2)"),
    (lambda x: (x[0], x), True, "must return an array of shape (50,), got shape (3,)"),
    (
        lambda x: (x[:, 0], x[:, 1], x[:, 2]),
        True,
        "must return the parts of the loss, or a tuple of the loss and its parts, got a tuple of 3",
    ),
    (lambda x: (total(x), x.astype(complex)), True, "must return real numbers, got an array of complex128"),
    (lambda row: row.sum(), False, "must return the parts of the loss, shape (3,), got shape ()"),
    (lambda row: row[:2], False, "must return the parts of the loss, shape (3,), got shape (2,)"),
    (lambda x: np.where(x < 0, np.nan, x), True, "must be finite, got nan for "),
    (raises, True, "raised ZeroDivisionError: no premium"),
]


@pytest.mark.parametrize(("function", "vectorised", "message"), BAD_PARTS, ids=[m[2][:60] for m in BAD_PARTS])
def test_what_is_wrong_with_parts_is_said_in_full(function, vectorised, message):
    loss, x = bound(function, vectorised=vectorised, parts=NAMES), normals(50, 3, 263)
    for call in (lambda: losses(loss, x), lambda: loss.components(x)):
        with pytest.raises(LossError) as caught:
            call()
        assert str(caught.value).startswith(f"loss {function.__name__}: {message}")


@pytest.mark.parametrize("off", [1e-6, 1.0])
@pytest.mark.parametrize("vectorised", [True, False])
def test_parts_that_do_not_add_up_are_shown_with_their_row(off, vectorised):
    def leaves_something_out(x):
        x = np.atleast_2d(x)
        loss = total(x) + off * (x[:, 0] > 5)
        return (loss, x) if vectorised else (loss[0], x[0])

    x = normals(50, 3, 264)
    x[7], x[30] = [6.0, 1.0, 0.5], [7.0, 0.0, 0.0]
    with pytest.raises(LossError) as caught:
        losses(bound(leaves_something_out, vectorised=vectorised, parts=True, on_failure="retry"), x)
    where = "2 of 50 rows, first row 7" if vectorised else "1 of 1 rows, first row 0"
    assert str(caught.value) == (
        f"loss leaves_something_out: the parts must add up to the loss, got 7.5 for a loss of {7.5 + off:.12g} in "
        f"{where}, the scenario [6.  1.  0.5]"
    )


def test_rounding_of_large_parts_that_cancel_is_no_fault():
    loss = bound(lambda x: (x[:, 0], np.column_stack([x[:, 0] + 1e9, np.full(len(x), -1e9)])), parts=["up", "down"])
    x = normals(50, 3, 265)
    np.testing.assert_array_equal(losses(loss, x), x[:, 0])


def test_a_row_that_fails_has_no_parts_and_is_told_of_once():
    x = normals(50, 3, 266)
    loss = bound(
        lambda x: np.where((np.arange(len(x)) == 7)[:, None] & (len(x) > 1), np.nan, x),
        parts=NAMES,
        on_failure="bound",
        retries=0,
    )
    with collecting() as heard:
        out, parts = losses(loss, x), loss.components(x)
    assert np.flatnonzero(np.isnan(out)).tolist() == np.flatnonzero(np.isnan(parts).all(axis=1)).tolist() == [7]
    np.testing.assert_array_equal(np.delete(parts, 7, axis=0), np.delete(x, 7, axis=0))
    assert heard.failures.total == 1


def test_parts_of_a_row_that_fails_at_first_come_from_a_further_try():
    tries = []

    def flaky(row):
        tries.append(row[0])
        if tries.count(row[0]) % 2:
            raise OSError("busy")
        return row

    x = normals(5, 3, 267)
    loss = bound(flaky, vectorised=False, parts=NAMES, on_failure="retry")
    np.testing.assert_array_equal(loss.components(x), x)


def test_parts_that_are_counted_stay_as_many():
    loss = bound(lambda x: x[:, : 3 - (x[0, 0] > 1)], parts=True)
    x = normals(5, 3, 268)
    x[0, 0] = 2.0
    with pytest.raises(LossError, match="must return as many parts for all rows, got 2 after 3 at the median"):
        loss.components(x)


def test_parts_are_counted_at_the_median_of_the_inputs():
    given = []
    inputs = Normal(mean=[1.0, 2.0], std=3.0)
    loss = PythonLoss(function=lambda x: given.append(x) or x, parts=True).bind(inputs)
    assert given == []
    assert loss.component_names == loss.component_names == ("c1", "c2")
    (once,) = given
    np.testing.assert_array_equal(once, [[1.0, 2.0]])


@pytest.mark.parametrize("vectorised", [True, False])
def test_a_function_that_fails_at_the_median_wants_names(vectorised):
    with pytest.raises(LossError) as caught:
        _ = bound(raises, vectorised=vectorised, parts=True).component_names
    assert str(caught.value).startswith("loss raises: raised ZeroDivisionError: no premium (test_python_loss.py, line ")
    assert str(caught.value).endswith(
        "called with the median of the inputs to count the parts; name them in `components`"
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abc", "components: must be true or a list of names, got 'abc'"),
        ([], "components: must be true or a list of names, got []"),
        (["a", 1], "components: must be true or a list of names, got ['a', 1]"),
        (["a", " "], "components: must be true or a list of names, got ['a', ' ']"),
        (["a", "b", "a"], "components: must be different names, got 'a' twice"),
    ],
)
def test_names_of_parts_are_checked(names, message):
    with pytest.raises(FieldError) as caught:
        PythonLoss(function=squares, parts=names)
    assert str(caught.value) == message


def test_a_matrix_without_names_is_met_with_the_option_that_it_needs():
    with pytest.raises(LossError) as caught:
        losses(bound(squares), normals(50, 3, 269))
    assert str(caught.value).endswith(
        "got shape (50, 3); say `components: true` if these are the parts of the loss, `limit_states: true` if each of "
        "them can fail by itself"
    )


def test_parts_are_described():
    line = "it returns the loss of each part of the portfolio"
    assert bound(squares, parts=NAMES).describe()[-1] == f"{line}: a, b, c"
    assert bound(squares, parts=True).describe()[-1] == line


# --- in limit states --------------------------------------------------------------------------------

SYSTEMS = [("any", 1), ("all", 3), ({"at_least": 1}, 1), ({"at_least": 2}, 2), ({"at_least": 3}, 3)]


@pytest.mark.parametrize(("system", "least"), SYSTEMS)
@pytest.mark.parametrize("names", [NAMES, True], ids=["named", "counted"])
@pytest.mark.parametrize(
    ("function", "vectorised"),
    [
        (squares, True),
        (lambda x: (x**2).tolist(), True),
        (lambda row: row**2, False),
        (lambda row: tuple(row**2), False),
    ],
    ids=["columns", "lists", "numbers of a row", "tuple of a row"],
)
def test_the_loss_reaches_a_threshold_where_enough_limit_states_do(function, vectorised, names, system, least):
    x = normals(200, 3, 270)
    loss = bound(function, vectorised=vectorised, limit_states=names, system=system)
    assert loss.limit_state_names == (NAMES if names is not True else ("g1", "g2", "g3"))
    assert loss.at_least == least
    out = losses(loss, x)
    for threshold in (0.01, 0.5, 2.0, float(out[0])):
        np.testing.assert_array_equal(out >= threshold, (x**2 >= threshold).sum(axis=1) >= least)
    np.testing.assert_array_equal(loss.states(x), x**2)
    np.testing.assert_array_equal(combined(loss.states(x), least), out)


def test_a_loss_with_limit_states_is_pickled_with_them():
    loss = pickle.loads(pickle.dumps(bound(squares, limit_states=NAMES, system={"at_least": 2})))
    x = normals(20, 3, 271)
    np.testing.assert_array_equal(loss.states(x), x**2)
    np.testing.assert_array_equal(losses(loss, x), np.sort(x**2, axis=1)[:, 1])


def test_a_function_compiled_by_numba_may_return_limit_states():
    x = normals(50, 3, 272)
    np.testing.assert_array_equal(losses(bound(numba.njit(squares), limit_states=True), x), (x**2).max(axis=1))


def test_yes_and_no_are_limit_states_too():
    x = normals(50, 3, 273)
    loss = bound(lambda x: x > 1.0, limit_states=NAMES, system="all")
    np.testing.assert_array_equal(losses(loss, x), (x > 1.0).all(axis=1))


def test_without_limit_states_there_are_none():
    loss = bound(total)
    assert (loss.limit_state_names, loss.at_least) == ((), 1)
    assert loss.states(normals(5, 3, 274)) is None


BAD_STATES = [
    (total, True, "must return a column for each limit state, shape (50, 3), got shape (50,)"),
    (lambda x: x[:, :2], True, "must return a column for each limit state, shape (50, 3), got shape (50, 2)"),
    (lambda x: x.T, True, "must return a column for each limit state, shape (50, 3), got shape (3, 50)"),
    (lambda x: tuple(x.T), True, "must return a column for each limit state, shape (50, 3), got shape (3, 50)"),
    (lambda x: x.astype(complex), True, "must return real numbers, got an array of complex128"),
    (lambda row: row.sum(), False, "must return a column for each limit state, shape (3,), got shape ()"),
    (lambda row: row[:2], False, "must return a column for each limit state, shape (3,), got shape (2,)"),
    (lambda x: np.where(x < 0, np.nan, x), True, "must be finite, got nan for "),
    (lambda x: np.where(x < 0, -np.inf, x), True, "must be finite, got -inf for "),
    (raises, True, "raised ZeroDivisionError: no premium"),
]


@pytest.mark.parametrize(("function", "vectorised", "message"), BAD_STATES, ids=[m[2][:70] for m in BAD_STATES])
def test_what_is_wrong_with_limit_states_is_said_in_full(function, vectorised, message):
    loss, x = bound(function, vectorised=vectorised, limit_states=NAMES), normals(50, 3, 275)
    for call in (lambda: losses(loss, x), lambda: loss.states(x)):
        with pytest.raises(LossError) as caught:
            call()
        assert str(caught.value).startswith(f"loss {function.__name__}: {message}")


def test_a_row_that_fails_has_no_limit_states_and_is_told_of():
    x = normals(50, 3, 276)

    def one_unknown(x):
        out = x.copy()
        if len(x) > 1:
            out[7, 1] = np.nan
        return out

    loss = bound(one_unknown, limit_states=NAMES, on_failure="bound", retries=0)
    with collecting() as heard:
        out, states = losses(loss, x), loss.states(x)
    assert np.flatnonzero(np.isnan(out)).tolist() == [7]
    assert np.flatnonzero(np.isnan(states).all(axis=1)).tolist() == [7]
    np.testing.assert_array_equal(np.delete(states, 7, axis=0), np.delete(x, 7, axis=0))
    assert heard.failures.total == 2
    retried = bound(one_unknown, limit_states=NAMES, on_failure="retry")
    np.testing.assert_array_equal(retried.states(x), x)


def test_limit_states_that_are_counted_stay_as_many():
    loss = bound(lambda x: x[:, : 3 - (x[0, 0] > 1)], limit_states=True)
    x = normals(5, 3, 277)
    x[0, 0] = 2.0
    with pytest.raises(LossError, match="must return as many limit states for all rows, got 2 after 3 at the median"):
        loss.states(x)


@pytest.mark.parametrize("vectorised", [True, False])
def test_a_function_that_fails_at_the_median_wants_names_of_limit_states(vectorised):
    with pytest.raises(LossError) as caught:
        _ = bound(raises, vectorised=vectorised, limit_states=True).limit_state_names
    assert str(caught.value).endswith(
        "called with the median of the inputs to count the limit states; name them in `limit_states`"
    )


def test_a_system_of_more_limit_states_than_come_is_refused_when_they_do():
    loss = bound(squares, limit_states=True, system={"at_least": 4})
    for call in (lambda: losses(loss, normals(5, 3, 278)), lambda: loss.limit_state_names):
        with pytest.raises(LossError, match=r"system.at_least must be at most the number of limit states, 3, got 4"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_states": "abc"}, "limit_states: must be true or a list of names, got 'abc'"),
        ({"limit_states": []}, "limit_states: must be true or a list of names, got []"),
        ({"limit_states": ["a", "b", "a"]}, "limit_states: must be different names, got 'a' twice"),
        (
            {"limit_states": True, "parts": True},
            "limit_states: must not be given beside components: the columns are either parts or limit states",
        ),
        ({"system": "all"}, "system: goes with limit_states: it says how they are combined"),
        ({"limit_states": True, "system": "al"}, "system: unknown value 'al'; did you mean 'all'? (allowed: any, all)"),
        ({"limit_states": True, "system": {"least": 2}}, "system: unknown key 'least'; did you mean 'at_least'?"),
        ({"limit_states": True, "system": {}}, "system: must be any, all or {at_least: 2}, got an empty mapping"),
        ({"limit_states": True, "system": {"at_least": 0}}, "system: at_least must be at least 1, got 0"),
        (
            {"limit_states": True, "system": {"at_least": 1.5}},
            "system: entry 'at_least' must be a whole number",
        ),
        (
            {"limit_states": NAMES, "system": {"at_least": 4}},
            "system: at_least must be at most the number of limit states, 3, got 4",
        ),
    ],
)
def test_options_of_limit_states_are_checked(options, message):
    with pytest.raises(FieldError) as caught:
        PythonLoss(function=squares, **options)
    assert str(caught.value).startswith(message)


def test_small_losses_of_limit_states_are_refused():
    with pytest.raises(FieldError, match=r"that fails at g <= 0, return -g and ask `above: 0`"):
        raresim.estimate(3, PythonLoss(function=squares, limit_states=True), raresim.Probability(below=1e-9), seed=1)


@pytest.mark.parametrize(
    ("system", "line"),
    [
        ("any", "the event is that any of them reaches the threshold"),
        ("all", "the event is that all of them reach the threshold"),
        ({"at_least": 2}, "the event is that at least 2 of them reach the threshold"),
    ],
)
def test_limit_states_are_described(system, line):
    first = "it returns a column for each limit state"
    assert bound(squares, limit_states=NAMES, system=system).describe()[-2:] == [f"{first}: a, b, c", line]
    assert bound(squares, limit_states=True, system=system).describe()[-2:] == [first, line]


# --- from a file -------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    """A function that writes a module and returns ``file.py:name``."""

    def _write(text, name="loss", file="model.py"):
        (tmp_path / file).write_text(textwrap.dedent(text))
        return f"{tmp_path / file}:{name}"

    return _write


def test_function_of_a_file_is_loaded_and_named_without_its_folder(write):
    path = write("""
        import numpy as np
        scale = 2.0
        def loss(x):
            return scale * np.abs(x[:, 0])
    """)
    x = normals(50, 3, 255)
    loss = bound(path)
    np.testing.assert_array_equal(losses(loss, x), 2 * np.abs(x[:, 0]))
    assert loss.name == "model.py:loss"
    assert loss.describe() == ["Python function model.py:loss"]
    assert [file.name for file in loss.files()] == ["model.py"]


def test_a_class_instance_or_a_partial_will_do(write):
    path = write("""
        import functools
        def scaled(x, k):
            return k * x[:, 0]
        loss = functools.partial(scaled, k=3.0)
    """)
    x = normals(50, 3, 256)
    np.testing.assert_array_equal(losses(bound(path), x), 3 * x[:, 0])


MISSING = [
    ("loss = 3", "loss", FieldError, "function: model.py has no function 'loss'"),
    ("def other(x): return x", "loss", FieldError, "function: model.py has no function 'loss'"),
    (
        "import no_such_module",
        "loss",
        LossError,
        "loss model.py: importing it raised ModuleNotFoundError: No module named",
    ),
    ("x = 1 / 0", "loss", LossError, "loss model.py: importing it raised ZeroDivisionError: division by zero (line 1)"),
    (
        "x = 1\n\ndef loss(x)\n    return x",
        "loss",
        LossError,
        "loss model.py: is not valid Python: expected",
    ),
]


@pytest.mark.parametrize(("text", "name", "error", "message"), MISSING, ids=[m[3][:50] for m in MISSING])
def test_file_that_cannot_be_used_says_why(write, text, name, error, message):
    with pytest.raises(error) as caught:
        bound(write(text, name))
    assert str(caught.value).startswith(message)


def test_syntax_error_is_reported_at_its_line(write):
    with pytest.raises(LossError) as caught:
        bound(write("x = 1\n\ndef loss(x)\n    return x"))
    assert "line 3)" in str(caught.value)
    assert str(caught.value).count("line") == 1


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FieldError) as caught:
        bound(f"{tmp_path}/nowhere.py:loss")
    assert str(caught.value) == f"function: no such file: {tmp_path}/nowhere.py"


@pytest.mark.parametrize("where", ["sys.exit('bye')", "def loss(x):\n    import sys\n    sys.exit(0)"])
def test_exit_inside_user_code_is_its_error_not_the_end_of_the_run(write, where, seed):
    """``SystemExit(0)`` would leave the shell with success and no result."""
    with pytest.raises(LossError):
        raresim.estimate(3, PythonLoss(function=write(f"import sys\n{where}")), UP, seed=seed(257))


def test_module_does_not_hide_another(write):
    import json

    path = write("def loss(x): return x[:, 0]", file="json.py")
    bound(path)
    import json as again

    assert again is json


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path):
    loaded = []
    for folder, k in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text(f"def loss(x): return {k} * x[:, 0]")
        loaded.append(bound(f"{tmp_path / folder / 'model.py'}:loss"))
    x = normals(50, 3, 258)
    for loss, k in zip(loaded, (1.0, 2.0), strict=True):
        np.testing.assert_array_equal(losses(loss, x), k * x[:, 0])
        np.testing.assert_array_equal(losses(pickle.loads(pickle.dumps(loss)), x), k * x[:, 0])


def test_worker_imports_the_file_once(write, tmp_path):
    """Each chunk of work unpickles the loss: a file that reads data or compiles code must not be run for each."""
    path = write(f"""
        with open({str(tmp_path / "imports.txt")!r}, "a") as file:
            file.write("once ")
        def loss(x): return x[:, 0]
    """)
    job = pickle.dumps(bound(path))
    for _ in range(5):
        pickle.loads(job)
    assert (tmp_path / "imports.txt").read_text().count("once") <= 2


# --- looking without importing -----------------------------------------------------------------------

DEFINED = {
    "def": "def loss(x): return x",
    "assignment": "loss = max",
    "import": "from numpy import sum as loss",
    "class": "class loss: pass",
    "in try": "try:\n    import numba\nexcept ImportError:\n    pass\nelse:\n    def loss(x): return x",
    "in if": "if True:\n    def loss(x): return x",
}


@pytest.mark.parametrize("text", DEFINED.values(), ids=DEFINED)
def test_look_finds_what_bind_will_find(write, text):
    path = write(text)
    PythonLoss(function=path).look(INPUTS)
    bound(path)


def test_look_does_not_run_the_file(write, tmp_path):
    PythonLoss(function=write(f"open({str(tmp_path / 'ran')!r}, 'w').close()\ndef loss(x): return x")).look(
        StandardNormal(dim=2)
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def los(x): return x", "function: unknown function of model.py 'loss'; did you mean 'los'?"),
        ("def loss(x) return x", "function: model.py is not valid Python: expected ':' (model.py, line 1)"),
    ],
)
def test_look_says_what_is_missing(write, text, message):
    with pytest.raises(FieldError) as caught:
        PythonLoss(function=write(text)).look(INPUTS)
    assert str(caught.value).startswith(message)


# --- spaces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["standard", "physical"])
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_function_is_given_physical_factors_in_either_space(space, seed):
    """Factors of mean 100 and std 10, whatever space is drawn in."""
    given = []

    def loss(x):
        given.append(x.mean(axis=0))
        return x[:, 0]

    inputs = Normal(mean=100.0, std=10.0, dim=2)
    proposal = Normal(mean=100.0, std=12.0, dim=2) if space == "physical" else Normal(mean=0.0, std=1.2, dim=2)
    method = raresim.Importance(proposal=proposal, space=space)
    result = raresim.estimate(
        inputs, loss, Probability(above=120.0), method, seed=seed(259), relative_error=0.02, audit="off"
    )
    assert_within_error(result.estimates[0].value, stats.norm.sf(2.0), result.estimates[0].std_error)
    np.testing.assert_allclose(np.mean(given, axis=0), 100.0, atol=2.0)


# --- what a run recognises ---------------------------------------------------------------------------


def sums_two(x):
    return x[0] + x[1]


def unpacks(x):
    a, b, c = x
    return a + b + c


def branches(x):
    return 1.0 if x[0] > 1.0 else math.exp(x[1])


def largest_of_row(x):
    return max(x)


def parts_of_row(x):
    return [x[0], x[1]]


def run(loss, **options):
    """A short run of crude Monte Carlo, unless another method is asked for."""
    given = loss if isinstance(loss, PythonLoss) else PythonLoss(function=loss)
    options = {"method": "crude", "max_evaluations": 3000, **options}
    return raresim.estimate(3, given, UP, seed=1, relative_error=None, **options)


@pytest.mark.parametrize("function", [sums_two, unpacks, branches, largest_of_row])
@pytest.mark.parametrize("policy", ["error", "bound", "retry"])
def test_18_14_a_function_of_one_row_is_told_how_to_say_so(function, policy):
    """Also where its rows would be bounded: all of them would count as failures."""
    with pytest.raises(LossError, match=r"it does take one row, an array of shape \(3,\): say `vectorised: false`"):
        run(PythonLoss(function=function, on_failure=policy))
    assert run(PythonLoss(function=function, vectorised=False, on_failure=policy)).estimates[0].value >= 0


BEAM = """
def g(load, span, strength=2.0): return strength - load * span
def row(x): return x[0]
def several(x, k=2, *more, scale=1.0): return x[:, 0]
"""


@pytest.mark.parametrize(("vectorised", "begin"), [(True, "load, span = x.T"), (False, "load, span = x")])
def test_a_function_with_an_argument_for_each_factor_is_told_how_to_take_them(vectorised, begin, tmp_path):
    path = tmp_path / "beam.py"
    path.write_text(BEAM)
    loss = PythonLoss(function=f"{path}:g", vectorised=vectorised)
    said = f"it wants 2 arguments and is called with one, .*: let it take x, and begin with `{re.escape(begin)}`"
    with pytest.raises(LossError, match=said):
        run(loss)
    (doubt,) = loss.doubts()
    assert re.search(said, doubt)
    for name in ("row", "several", "missing"):
        assert PythonLoss(function=f"{path}:{name}").doubts() == []


def test_18_14_so_is_one_that_returns_limit_states_of_one_row():
    for names in (True, ["a", "b"]):
        with pytest.raises(LossError, match=r"say `vectorised: false`"):
            run(PythonLoss(function=parts_of_row, limit_states=names))


def test_18_14_a_vectorised_function_that_fails_is_not_taken_for_one_of_a_row():
    def of_both(x):  # axis -1: it takes one row too
        if (x[..., 0] > 2.5).any():
            raise ValueError("too far")
        return x.sum(axis=-1)

    with pytest.raises(LossError) as caught:
        run(of_both)
    assert "too far" in str(caught.value)
    assert "vectorised" not in str(caught.value)


def noisy(x):
    return x.sum(axis=1) + 0.01 * np.random.standard_normal(len(x))  # noqa: NPY002  # a user's function


def noisy_row(x):
    return x.sum() + 0.01 * np.random.standard_normal()  # noqa: NPY002


def noisy_states(x):
    return x + 0.01 * np.random.standard_normal(x.shape)  # noqa: NPY002


NOISY = {
    "vectorised": PythonLoss(function=noisy),
    "rows": PythonLoss(function=noisy_row, vectorised=False),
    "limit states": PythonLoss(function=noisy_states, limit_states=True),
}


@pytest.mark.parametrize("loss", NOISY.values(), ids=NOISY)
def test_18_14_a_loss_with_noise_of_its_own_is_named(loss):
    with pytest.raises(LossError, match=r"gives \S+ and \S+ for the scenario .*: it has noise of its own"):
        run(loss)


@pytest.mark.parametrize(
    "method", ["auto", "cross_entropy", "subset_simulation", "line_sampling", "design_point", "splitting"]
)
def test_18_14_noise_is_seen_whatever_the_method(method):
    with pytest.raises(LossError, match="it has noise of its own"):
        run(noisy, method=method, max_evaluations=20_000)


@pytest.mark.parametrize("function", [lambda x: x.sum(axis=1) - x.mean(), lambda x: x[:, 0] + np.arange(len(x)) % 7])
def test_18_14_a_loss_that_depends_on_the_other_rows_is_named(function):
    with pytest.raises(LossError, match="depending on the other rows of the call or on its place among them"):
        run(function)


@pytest.mark.parametrize("size", [1.0, 1e-12, 1e12])
def test_18_14_rounding_and_failures_are_no_noise(size):
    """Sums of other rows round otherwise, an iteration ends a little elsewhere, and a flaky row may fail at first."""
    tries = []

    def rounded(x):
        return size * (1e4 + x @ np.array([0.1, 0.2, 0.3]) * (1.0 + 1e-9 * len(x)))

    def flaky(x):
        tries.append(len(x))
        return np.where(x[:, 0] > 1.5, np.nan if len(tries) == 1 else 2.0, x[:, 0])

    assert run(rounded).evaluations["total"] == 3000
    assert run(PythonLoss(function=flaky, on_failure="bound")).evaluations["total"] == 3000


def test_18_14_looking_for_noise_takes_eight_rows_and_fewer_where_they_are_slow():
    rows = []

    def counted(x):
        rows.append(len(x))
        return total(x)

    result = run(counted)
    assert sum(rows) == result.evaluations["total"] + 8
    slow = PythonLoss(function=counted).bind(INPUTS).watched()
    x = np.asfortranarray(np.random.default_rng(3).standard_normal((100, 3)))
    for seconds, asked in ((0.1, 8), (100.0, 2), (1e6, 1)):
        slow, n = slow.watched(), len(rows)
        slow.refuse_noise(x, total(x), seconds)
        slow.refuse_noise(x, total(x), seconds)
        assert rows[n:] == [asked]


@pytest.mark.slow
def test_18_14_noise_is_seen_in_other_processes(tmp_path):
    text = "import numpy as np\ndef f(x): return x.sum(axis=1) + np.random.random(len(x))\n"
    (tmp_path / "noise.py").write_text(text)
    experiment = raresim.Experiment(
        inputs=INPUTS,
        loss=PythonLoss(function=f"{tmp_path / 'noise.py'}:f"),
        measures=[UP],
        method=raresim.Crude(),
        seed=1,
    )
    with raresim.Executor.of("processes", 1) as executor, pytest.raises(LossError, match="it has noise of its own"):
        experiment.run(executor)


TEXTS = {
    "np.random.normal(size=3)": "np.random.normal",
    "numpy.random.rand(2)": "numpy.random.rand",
    "random.gauss(0, 1)": "random.gauss",
    "uniform(0, 1)": "uniform",
    "default_rng().normal()": "default_rng",
    "GENERATOR.normal()": "GENERATOR.normal",
    "stats.norm.rvs(size=3)": "stats.norm.rvs",
    "helper(x)": "random.random",
    "default_rng(int(x[0, 0])).normal()": "",
    "np.random.Generator(np.random.Philox(3)).normal()": "",
    "stats.norm.rvs(size=3, random_state=1)": "",
    "x.sum(axis=1)": "",
}


@pytest.mark.parametrize("body", TEXTS)
def test_18_14_check_reads_of_noise_in_the_text(body, tmp_path):
    """Nothing is imported: the file would raise."""
    path = tmp_path / "losses.py"
    path.write_text(
        "import random, numpy\nimport numpy as np\nfrom random import uniform\nfrom numpy.random import default_rng\n"
        "from scipy import stats\nGENERATOR = default_rng(1)\ndef helper(x):\n    return random.random()\n"
        f"def f(x):\n    return {body}\ndef other(x):\n    return random.random()\nraise RuntimeError\n"
    )
    doubts = PythonLoss(function=f"{path}:f").doubts()
    assert len(doubts) == bool(TEXTS[body])
    if doubts:
        line = 8 if body == "helper(x)" else 10
        assert f"losses.py:f draws random numbers of its own ({TEXTS[body]} in line {line})" in doubts[0]
