"""Anything with names is put in order by name, and a wrong name is an error."""

import datetime
import pickle

import numpy as np
import pytest

import raresim
from raresim import (
    CopulaInputs,
    FactorModel,
    Independent,
    Linear,
    Nataf,
    Normal,
    PythonLoss,
    ReturnsTable,
    StandardNormal,
    StudentT,
    copulas,
    marginals,
)
from raresim.data import Forecasts
from raresim.data.names import aligned, in_order, labels_of
from raresim.errors import DataError, FieldError, LossError
from tests.helpers import losses, normals

pandas = pytest.importorskip("pandas")

NAMES = ("KO", "PEP", "XOM")
WEIGHTS = {"XOM": 3.0, "KO": 1.0, "PEP": 2.0}
SERIES = pandas.Series(WEIGHTS)
COV = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, 0.3], [0.1, 0.3, 3.0]])
FRAME = pandas.DataFrame(COV, index=NAMES, columns=NAMES)
MIXED = FRAME.loc[["XOM", "KO", "PEP"], ["PEP", "XOM", "KO"]]
FITTED = Normal.fit(ReturnsTable.of(0.01 * normals(50, 3, 5), names=NAMES))


@pytest.mark.parametrize(
    "weights",
    [WEIGHTS, SERIES, [1.0, 2.0, 3.0], pandas.Series([1.0, 2.0, 3.0])],
    ids=["mapping", "series", "list", "counted"],
)
def test_18_5_weights_are_aligned_by_name(weights):
    x = normals(20, 3, 6)
    loss = Linear(weights=weights, factors="losses").bind(FITTED)
    np.testing.assert_allclose(losses(loss, x), x @ [1.0, 2.0, 3.0], rtol=1e-13)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loss)).component_weights, [1.0, 2.0, 3.0])


def test_18_5_the_order_of_a_book_does_not_change_its_risk():
    """The example of the issue: the same book in another order had another value at risk."""
    found = [
        raresim.estimate(
            FITTED,
            Linear(weights=SERIES.loc[list(order)]),
            raresim.ValueAtRisk(level=0.99),
            "crude",
            seed=1,
            max_evaluations=20_000,
        )
        .estimates[0]
        .value
        for order in (NAMES, NAMES[::-1])
    ]
    assert found[0] == found[1]


FRAMES = [
    pandas.DataFrame({"id": ["XOM", "KO", "PEP"], "weight": [3.0, 1.0, 2.0], "sector": ["oil", "drinks", "drinks"]}),
    pandas.DataFrame({"weight": SERIES, "sector": pandas.Series({"KO": "drinks", "PEP": "drinks", "XOM": "oil"})}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=["column", "index"])
def test_18_5_positions_may_be_a_frame(frame):
    x = normals(20, 3, 6)
    loss = Linear(positions=frame, factors="losses").bind(FITTED)
    np.testing.assert_allclose(losses(loss, x), x @ [1.0, 2.0, 3.0], rtol=1e-13)
    assert loss.component_groups("sector") == ("drinks", "drinks", "oil")
    assert Linear(positions=frame).files() == []


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"KO": 1.0, "PEPP": 2.0, "XOM": 3.0},
            "weights: unknown name 'PEPP'; did you mean 'PEP'? (allowed: KO,",
        ),
        (
            {"KO": 1.0, "XOM": 3.0},
            "weights: must have a number for each of the 3 names, lacks PEP; give 0 where nothing is",
        ),
        (
            pandas.Series(1.0, index=["KO", "KO", "PEP", "XOM"]),
            "weights: must have each name once, got KO more",
        ),
    ],
    ids=["unknown", "missing", "twice"],
)
def test_18_5_names_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(FieldError) as caught:
        Linear(weights=weights).bind(FITTED)
    assert str(caught.value).startswith(message)


def test_18_5_factors_without_names_are_called_by_number():
    with pytest.raises(FieldError, match=r"^weights: unknown name 'XOM' \(allowed: x1, x2, x3\)$"):
        Linear(weights=SERIES).bind(StandardNormal(dim=3))
    x = normals(20, 2, 7)
    loss = Linear(weights={"x2": 2.0, "x1": 1.0}).bind(StandardNormal(dim=2))
    np.testing.assert_allclose(losses(loss, x), x @ [1.0, 2.0], rtol=1e-13)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAMES[0].head(2), "positions: no row for 1 of 3 names: PEP; add each, with weight 0 where"),
        (
            FRAMES[0].drop(columns="weight"),
            "positions: a column 'weight' (or 'market_value' or 'quantity') is required, got id, sector",
        ),
        (FRAMES[0].replace("KO", "KOO"), "positions:1:id: unknown id 'KOO'; did you mean 'KO'?"),
        (FRAMES[0].replace(1.0, np.nan), "positions:1:weight: is missing; write 0 for no position"),
        (3.0, "positions: must be a file, or a data frame with columns, got float"),
        (FRAMES[0].head(0), "positions: has no rows"),
    ],
    ids=["fewer", "column", "id", "missing", "number", "empty"],
)
def test_18_5_a_frame_of_positions_is_checked_as_a_file(frame, message):
    with pytest.raises(DataError) as caught:
        Linear(positions=frame).bind(FITTED)
    assert str(caught.value).startswith(message)


def test_18_14_fewer_positions_than_prices_point_to_the_columns():
    with pytest.raises(
        DataError, match=r"or fit the inputs only to the columns that are held, `fit.columns: \[KO, XOM\]`"
    ):
        Linear(positions=FRAMES[0].query("id != 'PEP'")).bind(FITTED)
    with pytest.raises(FieldError, match=r"or fit the inputs to the columns that are held alone \(`fit.columns`\)$"):
        Linear(weights={"KO": 1.0}).bind(FITTED)


@pytest.mark.parametrize(
    "law",
    [
        lambda: Normal(mean=SERIES, cov=MIXED.loc[list(NAMES)]),
        lambda: Normal(cov=FRAME, mean=WEIGHTS),
        lambda: StudentT(dof=5.0, shape=FRAME, loc=SERIES),
        lambda: StudentT(dof=5.0, loc=SERIES.loc[list(NAMES)], shape=MIXED),
    ],
    ids=["normal", "normal of a mapping", "t", "t of a frame"],
)
def test_18_5_parameters_of_a_law_are_aligned_by_name(law):
    law = law()
    normal = getattr(law, "normal", law)
    order = [NAMES.index(name) for name in law.names]
    np.testing.assert_array_equal(normal.location, np.array([1.0, 2.0, 3.0])[order])
    np.testing.assert_allclose(normal.factor @ normal.factor.T, COV[np.ix_(order, order)], rtol=1e-14)
    assert sorted(law.names) == sorted(NAMES)
    loss = Linear(weights=SERIES).bind(law)
    assert loss.component_names == law.names
    np.testing.assert_array_equal(loss.component_weights, np.array([1.0, 2.0, 3.0])[order])


def test_18_5_parameters_of_different_names_are_refused():
    with pytest.raises(FieldError, match=r"^cov: unknown name 'KO' \(allowed: A, B, C\)$"):
        Normal(mean={"A": 0.0, "B": 0.0, "C": 0.0}, cov=FRAME)
    with pytest.raises(FieldError, match=r"^std: must have a number for each of the 3 names, lacks PEP$"):
        Normal(mean=SERIES, std={"KO": 1.0, "XOM": 1.0})
    assert Normal(mean=[0.0, 1.0], std=2.0).names is None


CORRELATION = pandas.DataFrame([[1.0, 0.6, 0.1], [0.6, 1.0, 0.3], [0.1, 0.3, 1.0]], index=NAMES, columns=NAMES)
SHUFFLED = CORRELATION.loc[["XOM", "PEP", "KO"], ["XOM", "PEP", "KO"]]
LAWS = {name: marginals.Normal(loc=float(k)) for k, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    "inputs",
    [
        lambda: CopulaInputs(copula=copulas.Gaussian(correlation=SHUFFLED), marginals=LAWS),
        lambda: CopulaInputs(copula=copulas.T(dof=4.0, correlation=SHUFFLED), marginals=LAWS),
        lambda: Nataf(correlation=SHUFFLED, marginals=LAWS),
    ],
    ids=["gaussian", "t", "nataf"],
)
def test_18_5_a_correlation_is_aligned_to_the_marginals(inputs):
    inputs = inputs()
    copula = getattr(inputs, "joint", inputs).copula
    np.testing.assert_allclose(copula.matrix, CORRELATION.to_numpy(), rtol=1e-7)
    with pytest.raises(FieldError, match="unknown name 'XOM'"):
        CopulaInputs(copula=copulas.Gaussian(correlation=SHUFFLED), marginals=list(LAWS.values()))


def test_18_5_loadings_are_aligned_to_names_and_factors():
    factors = Independent(marginals={"market": marginals.Normal(), "oil": marginals.Normal()})
    loadings = pandas.DataFrame({"oil": [0.0, 0.1, 0.9], "market": [0.6, 0.7, 0.8]}, index=NAMES)
    model = FactorModel(loadings=loadings, factors=factors, specific=SERIES, loc={"PEP": 2.0, "XOM": 3.0, "KO": 1.0})
    np.testing.assert_array_equal(model.loadings, [[0.6, 0.0], [0.7, 0.1], [0.8, 0.9]])
    np.testing.assert_array_equal(model.specific, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.loc, [1.0, 2.0, 3.0])
    assert model.names == NAMES
    with pytest.raises(FieldError, match=r"^loadings: unknown name 'oill'; did you mean 'oil'\?"):
        FactorModel(loadings=loadings.rename(columns={"oil": "oill"}), factors=factors, specific=1.0)


def test_18_5_parts_that_a_function_returns_by_name_are_aligned():
    def shares(x):
        return pandas.DataFrame({"b": x[:, 1], "a": x[:, 0]})

    def of_row(x):
        return {"b": x[1], "a": x[0]}

    x = normals(10, 2, 8)
    for loss in (
        PythonLoss(function=shares, parts=["a", "b"]),
        PythonLoss(function=of_row, parts=["a", "b"], vectorised=False),
    ):
        np.testing.assert_array_equal(loss.bind(StandardNormal(dim=2)).components(x), x)
    wrong = PythonLoss(function=shares, parts=["a", "c"]).bind(StandardNormal(dim=2))
    with pytest.raises(LossError, match=r"returned columns by name: components: unknown name 'b' \(allowed: a, c\)"):
        wrong(x, np.empty(10))


def test_18_5_a_table_is_not_renamed_to_its_own_columns_in_another_order():
    frame = pandas.DataFrame(0.01 * normals(10, 2, 9), columns=["A", "B"])
    with pytest.raises(DataError, match="the names are the columns' own in another order, got B, A for A, B"):
        ReturnsTable.of(frame, names=["B", "A"])
    assert ReturnsTable.of(frame, names=["C", "D"]).names == ("C", "D")


def test_18_5_forecasts_are_of_the_days_of_the_losses():
    days = pandas.date_range("2020-01-01", periods=30)
    realised = pandas.Series(np.random.default_rng(1).standard_normal(30), index=days)
    var = pandas.Series(2.0, index=days + pandas.Timedelta(days=1))
    with pytest.raises(DataError) as caught:
        Forecasts.of(realised, var)
    assert str(caught.value) == (
        "array:0:var: must be of the same day as the loss, got 2020-01-02 beside 2020-01-01; give all series for the "
        "same dates"
    )
    assert Forecasts.of(realised, var.to_numpy()).dates[0] == datetime.date(2020, 1, 1)
    assert Forecasts.of(realised, pandas.Series(2.0, index=days)).n_days == 30


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (SERIES, ("XOM", "KO", "PEP")),
        (FRAME, NAMES),
        ({"a": 1}, ("a",)),
        (pandas.Series([1.0, 2.0]), None),
        ([1.0, 2.0], None),
        ("equal", None),
        (np.ones(3), None),
        (1.0, None),
        (None, None),
    ],
    ids=repr,
)
def test_18_5_names_are_seen_where_there_are_some(value, labels):
    assert labels_of(value) == labels


def test_18_5_what_carries_no_name_stays_as_it_stands():
    np.testing.assert_array_equal(in_order("x", [3.0, 1.0], ("a", "b")), [3.0, 1.0])
    assert aligned(mean=[1.0], cov=None) == (None, {"mean": [1.0], "cov": None})
