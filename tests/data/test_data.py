"""Reading returns, columns and positions, shrinking a covariance, fitting degrees of freedom."""

import datetime
import hashlib
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_t

import raresim
from raresim import FittedInputs, Linear, Normal, StudentT
from raresim.data import MAX_PROBLEMS, ColumnSource, ForecastSource, ReturnsSource, ReturnsTable, read_positions
from raresim.distributions.covariances import DOF_BOUNDS, covariance, dependencies, fit_student_t_dof
from raresim.errors import DataError, ExitCode, FieldError
from tests.statistical import assert_within_error

ROOT = Path(raresim.__file__).parents[1]
EXAMPLES = ROOT / "configs" / "data"
STOCKS = EXAMPLES / "us20_prices_2000_2022.csv"

PRICES = """date,AAA,BBB
2020-01-01,100,50
2020-01-02,110,49
2020-01-03,99,50.5
2020-01-06,105,51
"""
# AAA is missing in lines 3 and 5, BBB in line 5.
GAPS = """date,AAA,BBB
2020-01-01,100,50
2020-01-02,,49
2020-01-03,99,50.5
2020-01-06,NA,nan
2020-01-07,105,51
"""


def day(text):
    return datetime.date.fromisoformat(text)


@pytest.fixture
def write(tmp_path):
    """A function that writes ``text`` (or bytes) to ``file.csv`` and returns the path."""

    def _write(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return _write


def prices(path, **options):
    return ReturnsSource(prices=path, **({"returns": "log"} | options)).load()


def returns(path, **options):
    return ReturnsSource(returns_csv=path, **({"returns": "simple", "unit": "fraction"} | options)).load()


# --- numbers -----------------------------------------------------------------------------------------


def test_returns_are_logs_of_price_ratios_or_relative_changes(write):
    path = write(PRICES)
    ratio = np.array([[110 / 100, 49 / 50], [99 / 110, 50.5 / 49], [105 / 99, 51 / 50.5]])
    log, simple = prices(path, returns="log"), prices(path, returns="simple")
    np.testing.assert_allclose(log.values, np.log(ratio), rtol=1e-14)
    np.testing.assert_allclose(simple.values, ratio - 1, rtol=1e-14)
    assert log.names == simple.names == ("AAA", "BBB")
    assert log.dates == (day("2020-01-02"), day("2020-01-03"), day("2020-01-06"))


def test_tiny_returns_keep_their_digits(write):
    path = write("date,A\n2020-01-01,1\n2020-01-02,1.0000000000009095\n2020-01-03,1\n")
    step = 1.0000000000009095 - 1.0  # exact
    np.testing.assert_allclose(prices(path).values[0], step - step**2 / 2, rtol=1e-15)


def test_returns_in_a_file_are_taken_as_they_stand(write):
    path = write("month,F\n2018-01,0.5\n2018-02,-1.25\n2018-03,3e-1\n")
    np.testing.assert_array_equal(returns(path, unit="fraction", returns="log").values[:, 0], [0.5, -1.25, 0.3])
    np.testing.assert_array_equal(returns(path, unit="percent").values[:, 0], [0.005, -0.0125, 0.003])
    log = returns(path, unit="percent", returns="log")
    np.testing.assert_array_equal(log.values, returns(path, unit="percent").values)
    assert log.dates == (day("2018-01-01"), day("2018-02-01"), day("2018-03-01"))


def test_the_twenty_stocks_agree_with_plain_numpy():
    table = prices(STOCKS)
    raw = np.loadtxt(STOCKS, delimiter=",", skiprows=1, usecols=range(1, 21))
    expected = np.diff(np.log(raw), axis=0)
    assert table.values.shape == (5784, 20)
    assert (table.dates[0], table.dates[-1]) == (day("2000-01-04"), day("2022-12-28"))
    np.testing.assert_allclose(table.values, expected, rtol=1e-9, atol=1e-15)
    equal_weight = table.values.mean(axis=1)
    assert equal_weight.std(ddof=1) == pytest.approx(0.012353389, rel=1e-7)
    assert np.quantile(-equal_weight, 0.99, method="inverted_cdf") == pytest.approx(
        np.sort(-expected.mean(axis=1))[5726], rel=1e-12
    )  # the 5,727th of 5,784: 0.99 * 5784 = 5726.16


def test_values_cannot_be_changed():
    table = prices(STOCKS, start=day("2022-12-01"))
    with pytest.raises(ValueError, match="read-only"):
        table.values[0, 0] = 0.0


# --- choosing rows and columns -----------------------------------------------------------------------


def test_the_date_range_is_inclusive_at_both_ends(write):
    table = prices(write(PRICES), start=day("2020-01-02"), end=day("2020-01-06"))
    assert table.dates == (day("2020-01-03"), day("2020-01-06"))
    np.testing.assert_allclose(table.values[:, 0], np.log([99 / 110, 105 / 99]), rtol=1e-14)


@pytest.mark.parametrize(("start", "end"), [("2019-12-15", "2020-01-03"), ("2020-01-01", "2020-01-05")])
def test_the_ends_of_the_range_need_not_be_in_the_file(write, start, end):
    assert len(prices(write(PRICES), start=day(start), end=day(end)).dates) == 2


def test_columns_come_in_the_order_asked_for(write):
    table = prices(write(PRICES), columns=["BBB", "AAA"])
    assert table.names == ("BBB", "AAA")
    np.testing.assert_array_equal(table.values, prices(write(PRICES)).values[:, ::-1])


def test_cells_outside_the_range_and_columns_are_not_read(write):
    path = write(PRICES.replace("2020-01-01,100,50", "2020-01-01,n/a,-1").replace("50.5", "oops"))
    table = prices(path, start=day("2020-01-02"), columns=("AAA",))
    assert table.values.shape == (2, 1)
    assert table.source.missing == 0


@pytest.mark.parametrize(
    "text",
    [
        PRICES.replace("\n", "\r\n"),
        "\ufeff" + PRICES,
        PRICES.replace("\n", "\n\n") + "\n\n",
        PRICES.replace(",", " , "),
        PRICES.rstrip("\n"),
        PRICES.replace("date", ""),
        PRICES.replace("AAA", '"AAA"').replace("100", '"100"'),
    ],
    ids=["crlf", "byte-order-mark", "blank-lines", "blanks", "no-last-newline", "no-date-name", "quotes"],
)
def test_the_same_table_is_read_however_it_is_written(write, text):
    table = prices(write(text))
    assert table.names == ("AAA", "BBB")
    np.testing.assert_array_equal(table.values, prices(write(PRICES)).values)


def test_a_name_may_hold_a_comma(write):
    assert prices(write(PRICES.replace("AAA", '"A, Inc."'))).names == ("A, Inc.", "BBB")


# --- missing values ----------------------------------------------------------------------------------


def test_drop_leaves_out_the_row_and_spans_the_gap(write):
    table = prices(write(GAPS), missing="drop")
    assert table.dates == (day("2020-01-03"), day("2020-01-07"))
    np.testing.assert_allclose(table.values, np.log([[99 / 100, 50.5 / 50], [105 / 99, 51 / 50.5]]), rtol=1e-14)
    assert (table.source.missing, table.source.missing_policy) == (3, "drop")


def test_drop_looks_at_used_columns_only(write):
    table = prices(write(GAPS), missing="drop", columns=("BBB",))
    assert len(table.dates) == 3
    assert table.source.missing == 1


def test_previous_repeats_the_last_price(write):
    table = prices(write(GAPS), missing="previous")
    filled = np.array([[100, 50], [100, 49], [99, 50.5], [99, 50.5], [105, 51]])
    np.testing.assert_allclose(table.values, np.diff(np.log(filled), axis=0), rtol=1e-13, atol=1e-15)
    assert (table.values[0, 0], table.values[2, 1]) == (0.0, 0.0)
    assert (table.source.missing, table.source.missing_policy) == (3, "previous")


def test_previous_repeats_over_a_run_of_missing_prices(write):
    path = write("date,A\n2020-01-01,8\n2020-01-02,\n2020-01-03,\n2020-01-04,4\n2020-01-05,NaN\n")
    np.testing.assert_allclose(prices(path, missing="previous", returns="simple").values[:, 0], [0.0, 0.0, -0.5, 0.0])


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "  "])
def test_each_spelling_of_missing_is_known(write, cell):
    path = write(f"date,A\n2020-01-01,0.1\n2020-01-02,{cell}\n2020-01-03,0.2\n")
    np.testing.assert_array_equal(returns(path, missing="drop").values[:, 0], [0.1, 0.2])


# --- facts -------------------------------------------------------------------------------------------


def test_facts_describe_the_file_and_what_was_used(write):
    facts = prices(write(GAPS), missing="drop", columns=("BBB",), start=day("2020-01-02")).source
    assert json.loads(json.dumps(facts.to_dict())) == {
        "name": "file.csv",
        "bytes": len(GAPS),
        "sha256": hashlib.sha256(GAPS.encode()).hexdigest(),
        "rows": 4,
        "columns": 1,
        "first_date": "2020-01-02",
        "last_date": "2020-01-07",
        "missing": 1,
        "missing_policy": "drop",
    }


def test_hashes_of_the_example_data_are_those_of_their_readme():
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in sorted(EXAMPLES.glob("*.csv")):
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" in readme
        assert path.stat().st_size < 1_000_000


def test_importing_the_module_imports_nothing_heavy():
    code = "import sys, raresim.data; print(*({'numba', 'scipy', 'pydantic', 'pandas', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- arguments that are refused ----------------------------------------------------------------------

SOURCE_ERRORS = {
    "no file": ({}, "prices", "give exactly one of `prices` and `returns_file`, got neither"),
    "two files": (
        {"prices": Path("a"), "returns_csv": Path("b")},
        "prices",
        "give exactly one of `prices` and `returns_file`, got `prices` and `returns_csv`",
    ),
    "a file under both of its names": (
        {"returns_file": Path("a"), "returns_csv": Path("a")},
        "prices",
        "give exactly one of `prices` and `returns_file`, got `returns_file` and `returns_csv`",
    ),
    "max_return": ({"prices": Path("a"), "max_return": 0.0}, "max_return", "must be positive and finite, got 0"),
    "unit missing under the general name": (
        {"returns_file": Path("a")},
        "unit",
        "is required with `returns_file`: 'fraction' (0.01) or 'percent' (1.0)",
    ),
    "returns": (
        {"prices": Path("a"), "returns": "logs"},
        "returns",
        "unknown value 'logs'; did you mean 'log'? (allowed: log, simple)",
    ),
    "unit unknown": (
        {"returns_csv": Path("a"), "unit": "bp"},
        "unit",
        "unknown value 'bp' (allowed: fraction, percent)",
    ),
    "unit missing": (
        {"returns_csv": Path("a")},
        "unit",
        "is required with `returns_csv`: 'fraction' (0.01) or 'percent' (1.0)",
    ),
    "unit with prices": (
        {"prices": Path("a"), "unit": "percent"},
        "unit",
        "must be left out with `prices`, got 'percent'",
    ),
    "missing": (
        {"prices": Path("a"), "missing": "dropp"},
        "missing",
        "unknown value 'dropp'; did you mean 'drop'? (allowed: error, drop, previous)",
    ),
    "previous without prices": (
        {"returns_csv": Path("a"), "unit": "fraction", "missing": "previous"},
        "missing",
        "'previous' is for prices: with `returns_csv` use 'drop' or 'error'",
    ),
    "covariance": (
        {"prices": Path("a"), "covariance": "ledoit-wolf"},
        "covariance",
        "unknown value 'ledoit-wolf'; did you mean 'ledoit_wolf'? (allowed: ledoit_wolf, sample)",
    ),
    "from is text": (
        {"prices": Path("a"), "start": "2000-01-01"},
        "from",
        "must be a date YYYY-MM-DD, got '2000-01-01'",
    ),
    "to has a time": (
        {"prices": Path("a"), "end": datetime.datetime(2000, 1, 1)},
        "to",
        "must be a date YYYY-MM-DD, got datetime.datetime(2000, 1, 1, 0, 0)",
    ),
    "from after to": (
        {"prices": Path("a"), "start": day("2001-01-01"), "end": day("2000-01-01")},
        "from",
        "must not be after `to`, got 2001-01-01 and 2000-01-01",
    ),
    "columns is one name": (
        {"prices": Path("a"), "columns": "AAPL"},
        "columns",
        "must be a list of column names, got 'AAPL'",
    ),
    "columns are numbers": (
        {"prices": Path("a"), "columns": (1, 2)},
        "columns",
        "must be a list of column names, got (1, 2)",
    ),
    "no columns": (
        {"prices": Path("a"), "columns": ()},
        "columns",
        "must not be empty; leave it out to use every column but the date",
    ),
    "column twice": (
        {"prices": Path("a"), "columns": ("A", "B", "A")},
        "columns",
        "must name each column once, got A more than once",
    ),
}


@pytest.mark.parametrize(("options", "field", "message"), SOURCE_ERRORS.values(), ids=SOURCE_ERRORS)
def test_a_source_that_makes_no_sense_is_refused(options, field, message):
    with pytest.raises(FieldError) as caught:
        ReturnsSource(**({"returns": "log"} | options))
    assert (caught.value.field, caught.value.message) == (field, message)


def test_from_and_to_are_the_yaml_names():
    assert ReturnsSource.ALIASES == {"start": "from", "end": "to"}


def test_the_kind_of_return_has_no_default():
    with pytest.raises(FieldError, match=r"^returns: is required"):
        ReturnsSource(prices=Path("a"))


# --- files that are refused --------------------------------------------------------------------------


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


NUMBER_HINT = "a missing value is an empty cell, nan, NaN or NA"

PRICE_ERRORS = {
    "text": (
        lines("date,A", "2020-01-01,1", "2020-01-02,n/a"),
        {},
        f"file.csv:3:A: must be a finite number with a decimal point, got 'n/a'; {NUMBER_HINT}",
    ),
    "decimal comma": (
        lines("date,A", '2020-01-01,"1,5"'),
        {},
        f"file.csv:2:A: must be a finite number with a decimal point, got '1,5'; {NUMBER_HINT}",
    ),
    "digit groups": (
        lines("date,A", "2020-01-01,1_000"),
        {},
        f"file.csv:2:A: must be a finite number with a decimal point, got '1_000'; {NUMBER_HINT}",
    ),
    "infinity": (
        lines("date,A", "2020-01-01,inf"),
        {},
        f"file.csv:2:A: must be a finite number with a decimal point, got 'inf'; {NUMBER_HINT}",
    ),
    "overflow": (
        lines("date,A", "2020-01-01,1e999"),
        {},
        f"file.csv:2:A: must be a finite number with a decimal point, got '1e999'; {NUMBER_HINT}",
    ),
    "another spelling of missing": (
        lines("date,A", "2020-01-01,NAN"),
        {"missing": "drop"},
        f"file.csv:2:A: must be a finite number with a decimal point, got 'NAN'; {NUMBER_HINT}",
    ),
    "zero price": (
        lines("date,A,B", "2020-01-01,1,0"),
        {},
        "file.csv:2:B: must be a positive price, got 0; correct it or leave it empty, "
        "or use `returns_file` if these are returns",
    ),
    "negative price": (
        lines("date,A", "2020-01-01,1", "2020-04-20,-37.63"),
        {},
        "file.csv:3:A: must be a positive price, got -37.63; correct it or leave it empty, "
        "or use `returns_file` if these are returns",
    ),
    "missing": (
        lines("date,A,B", "2020-01-01,1,2", "2020-01-02,1,"),
        {},
        "file.csv:3:B: is missing, got ''; fill it in or choose `missing: drop` or `missing: previous`",
    ),
    "missing at the start": (
        lines("date,A,B", "2020-01-01,1,", "2020-01-02,1,2", "2020-01-03,2,3"),
        {"missing": "previous"},
        "file.csv:2:B: is missing and has no earlier price in the range to repeat; "
        "move `from`, leave out the column, or use `missing: drop`",
    ),
    "too few cells": (
        lines("date,A,B", "2020-01-01,1,2", "2020-01-02,1"),
        {},
        "file.csv:3: has 2 cells, must have 3 as the header does; quote a cell that contains a comma",
    ),
    "too many cells": (
        lines("date,A", "2020-01-01,1,5"),
        {},
        "file.csv:2: has 3 cells, must have 2 as the header does; quote a cell that contains a comma",
    ),
    "date of another order": (
        lines("day,A", "31/12/2019,1"),
        {},
        "file.csv:2:day: must be a date YYYY-MM-DD or YYYY-MM, got '31/12/2019'",
    ),
    "date without dashes": (
        lines("date,A", "20200101,1"),
        {},
        "file.csv:2:date: must be a date YYYY-MM-DD or YYYY-MM, got '20200101'",
    ),
    "impossible date": (
        lines(",A", "2021-02-29,1"),
        {},
        "file.csv:2:date: must be a date YYYY-MM-DD or YYYY-MM, got '2021-02-29'",
    ),
    "repeated date": (
        lines("date,A", "2020-01-02,1", "2020-01-02,2"),
        {},
        "file.csv:3:date: must be later than the row before, got 2020-01-02 after 2020-01-02; give each date one row",
    ),
    "falling date": (
        lines("date,A", "2020-01-02,1", "2020-01-03,1", "2020-01-01,2", "2020-01-02,2"),
        {},
        "file.csv:4:date: must be later than the row before, got 2020-01-01 after 2020-01-03; "
        "sort the rows by date, the oldest first",
    ),
    "empty range": (
        PRICES,
        {"start": day("2021-01-01")},
        "file.csv: no rows in the range from 2021-01-01 to the last; the file has 2020-01-01 to 2020-01-06",
    ),
    "one return": (
        PRICES,
        {"start": day("2020-01-03")},
        "file.csv: at least 2 returns are needed, got 1; widen the date range or, "
        "where values are missing, leave out columns",
    ),
    "no return is left": (
        lines("date,A,B", "2020-01-01,1,", "2020-01-02,,2"),
        {"missing": "drop"},
        "file.csv: at least 2 returns are needed, got 0; widen the date range or, "
        "where values are missing, leave out columns",
    ),
    "constant": (
        lines("date,A,B", "2020-01-01,7,1", "2020-01-02,7,2", "2020-01-03,7,1"),
        {},
        "file.csv: the returns of column 'A' are constant; leave it out with `columns`",
    ),
    "constant growth": (
        lines("date,A", *(f"2020-01-{k + 1:02d},{1.01**k!r}" for k in range(20))),
        {},
        "file.csv: the returns of column 'A' are constant; leave it out with `columns`",
    ),
    "a fall beyond all digits": (
        lines("date,A", "2020-01-01,1e30", "2020-01-02,1", "2020-01-03,2"),
        {"max_return": 1e4},
        "file.csv: the return of column 'A' on 2020-01-02 is not finite; "
        "correct the price of that date or of the one before",
    ),
    "a rise beyond all numbers": (
        lines("date,A", "2020-01-01,1", "2020-01-02,1e-300", "2020-01-03,1e300"),
        {"returns": "simple", "max_return": 1e4},
        "file.csv: the return of column 'A' on 2020-01-03 is not finite; "
        "correct the price of that date or of the one before",
    ),
    "unknown column": (
        PRICES,
        {"columns": ("AAA", "bbb")},
        "file.csv:1: unknown column 'bbb'; did you mean 'BBB'? (allowed: AAA, BBB)",
    ),
    "the date is not a column": (
        PRICES,
        {"columns": ("date",)},
        "file.csv:1: unknown column 'date' (allowed: AAA, BBB)",
    ),
    "column name twice": (
        lines("date,A,B,A", "2020-01-01,1,1,1"),
        {},
        "file.csv:1:A: is the name of more than one column; rename or remove one",
    ),
    "column without a name": (
        lines("date,A,,", "2020-01-01,1,1,1"),
        {},
        "file.csv:1: every column after the first needs a name, got none in place 3, 4",
    ),
    "semicolons": (
        lines("date;A", "2020-01-01;1"),
        {},
        "file.csv:1: the header must name at least 2 columns, separated by commas, got 1; "
        "it has semicolons: save the file with commas",
    ),
    "not UTF-8": (
        b"date,A\n2020-01-01,1\n2020-01-02,\xe9\n",
        {},
        "file.csv:3: must be UTF-8, got the byte 0xe9; save the file as UTF-8",
    ),
    "an Excel workbook": (
        b"PK\x03\x04\x14\x00\x06\x00\x08\x83",
        {},
        "file.csv: is a zip archive, as a workbook of Excel is; save the sheet as CSV in UTF-8",
    ),
    "UTF-16": (
        lines("date,A", "2020-01-01,1").encode("utf-16"),
        {},
        "file.csv: must be UTF-8, got UTF-16; save the file as CSV in UTF-8",
    ),
    "no header": (
        lines("2020-01-01,1,5", "2020-01-02,2,5"),
        {},
        "file.csv:1: must be a header with the names of the columns, got a row of data that begins with '2020-01-01'; "
        "write a first line such as date,A,B",
    ),
    "comments": (
        lines("# from the desk", "date,A", "2020-01-01,1"),
        {},
        "file.csv:1: the header must name at least 2 columns, separated by commas, got 1; "
        "lines of comments are not read: remove those above the header",
    ),
    "an empty column": (
        lines("date,A,B", "2020-01-01,1,", "2020-01-02,2,NA"),
        {"missing": "drop"},
        "file.csv:1:B: has no value in any row; leave it out with `columns`",
    ),
    "dates of another form": (
        lines("day,A", "31.12.2019,1", "01.01.2020,2"),
        {},
        "file.csv:2:day: must be a date YYYY-MM-DD or YYYY-MM, got '31.12.2019', and none of the 2 rows has such a "
        "date; write the column anew, such as 2024-12-31",
    ),
    "unfinished quote": (
        lines("date,A", '2020-01-01,"1'),
        {},
        "file.csv:2: is not valid CSV: unexpected end of data",
    ),
    "empty": ("", {}, "file.csv: is empty; a header row and data rows are required"),
    "blank": ("\n\n", {}, "file.csv: is empty; a header row and data rows are required"),
    "only a header": ("date,A\n", {}, "file.csv: has a header row but no data rows"),
}


@pytest.mark.parametrize(("text", "options", "message"), PRICE_ERRORS.values(), ids=PRICE_ERRORS)
def test_a_bad_file_is_refused_with_its_place(write, text, options, message):
    with pytest.raises(DataError) as caught:
        prices(write(text), **options)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.USER_CODE_OR_DATA


NO_TABLES = {
    "one line": "hunter2\n",
    "an environment": "TOKEN=hunter2\nUSER=admin\n",
    "commas": "admin,hunter2\nroot,correct-horse\nguest,\n",
    "accounts": "root:x:hunter2:/root\ndaemon:*:hunter2:/sbin\n",
    "JSON": '{"user": "admin",\n"password": "hunter2"}\n',
}


@pytest.mark.parametrize("text", NO_TABLES.values(), ids=NO_TABLES)
@pytest.mark.parametrize(
    "load",
    [
        prices,
        lambda path: ColumnSource(file=path, column="loss").load(),
        lambda path: read_positions(path, ("A", "B")),
        lambda path: ForecastSource(file=path).load(),
    ],
    ids=["prices", "column", "positions", "forecasts"],
)
def test_18_13_of_a_file_that_is_no_table_nothing_is_shown(write, text, load):
    """A wrong path may lead to any file; its content must not end up in a log."""
    with pytest.raises(DataError) as caught:
        load(write(text))
    message = str(caught.value)
    assert message.startswith("file.csv:")
    assert not [word for word in ("hunter2", "admin", "root", "horse", "TOKEN") if word in message]


def test_18_13_a_table_of_numbers_that_are_written_otherwise_is_one(write):
    """Its wrong cells are shown: without them a mistake cannot be found."""
    for cell in ("31/12/2019", "1,5", "$ 1.5", "10 %", "1'000", "(3)", "-.5", "1e-5"):
        with pytest.raises(DataError, match=f"got {re.escape(repr(cell))}"):
            prices(write(f'date,A\n"{cell}","{cell}"\n'))


def test_a_missing_return_can_only_be_dropped(write):
    with pytest.raises(DataError, match=r"^file.csv:3:A: is missing, got 'NA'; fill it in or choose `missing: drop`$"):
        returns(write(lines("date,A", "2020-01-01,1", "2020-01-02,NA", "2020-01-03,2")))


def test_one_row_of_returns_is_not_enough(write):
    with pytest.raises(DataError, match="at least 2 returns are needed, got 1"):
        returns(write(lines("date,A", "2020-01-01,1")))


def test_a_missing_file_is_named_with_its_folder(tmp_path):
    with pytest.raises(DataError) as caught:
        prices(tmp_path / "none.csv")
    assert str(caught.value) == f"{tmp_path / 'none.csv'}: no such file"


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(DataError) as caught:
        prices(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: cannot be read: ")


def test_rows_are_lines_of_the_file(write):
    text = 'date,A,"two\nlines"\n\n2020-01-01,1,1\n2020-01-02,x,1\n'
    with pytest.raises(DataError, match=r"^file\.csv:5:A: "):
        prices(write(text))


def test_all_problems_are_listed_at_once(write):
    text = lines("date,A,B", "2020-01-01,x,-1", "2020-01-01,1", "soon,1,2", "2020-01-03,,inf")
    with pytest.raises(DataError) as caught:
        prices(write(text))
    places = [line.partition(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [
        "file.csv:2:A",
        "file.csv:2:B",
        "file.csv:3",
        "file.csv:4:date",
        "file.csv:5:A",
        "file.csv:5:B",
    ]


@pytest.mark.parametrize(("bad", "shown"), [(19, 19), (20, 21), (500, 21)])
def test_the_list_of_problems_stops_at_twenty(write, bad, shown):
    text = lines("date,A", *(f"{1000 + year}-01-01,x" for year in range(bad)))
    with pytest.raises(DataError) as caught:
        prices(write(text))
    report = str(caught.value).splitlines()
    assert len(report) == shown
    assert (report[-1] == f"file.csv: stopped after {MAX_PROBLEMS} problems, there may be more") == (bad >= 20)


def test_a_long_list_of_allowed_names_is_cut(write):
    header = ",".join(f"S{k:03d}" for k in range(200))
    path = write(f"date,{header}\n2020-01-01,{header}\n")
    with pytest.raises(DataError, match=r"did you mean 'S199'\? \(allowed: S000, .*, S029 and 170 more\)$"):
        prices(path, columns=("s199",))


# --- positions ---------------------------------------------------------------------------------------

NAMES = ("AAA", "BBB", "CCC")


def test_positions_come_in_the_order_of_the_names(write):
    path = write("desk,id,weight,note\nx,CCC,-0.5,\ny,AAA,1.5,short\nz,BBB,0,\n")
    weights = read_positions(path, NAMES)
    np.testing.assert_array_equal(weights, [1.5, 0.0, -0.5])
    assert weights.dtype == np.float64
    assert not weights.flags.writeable


def test_example_positions_fit_the_example_prices():
    names = prices(STOCKS, start=day("2022-12-01")).names
    weights = read_positions(EXAMPLES / "positions.csv", names)
    assert weights.shape == (20,)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert len(set(weights)) > 1
    assert weights[names.index("AAPL")] == 0.09


POSITION_ERRORS = {
    "no id column": (
        lines("isin,weight", "AAA,1"),
        "file.csv:1: a column 'id' (or 'ticker' or 'symbol' or 'name') is required, got isin, weight; add or rename it",
    ),
    "no weight column": (
        lines("id,shares", "AAA,1"),
        "file.csv:1: a column 'weight' (or 'market_value' or 'quantity') is required, got id, shares; add or rename it",
    ),
    "two sizes": (
        lines("id,weight,market_value", "AAA,1,2"),
        "file.csv:1: the columns 'weight' and 'market_value' each give the size of a position; keep one of them, and "
        "rename or leave out the rest",
    ),
    "market value missing": (
        lines("ticker,market_value", "AAA,1", "BBB,", "CCC,1"),
        "file.csv:3:market_value: is missing; write 0 for no position",
    ),
    "unknown ticker": (
        lines("ticker,market_value", "AAA,1", "BBB,1", "CCC,1", "ccd,1"),
        "file.csv:5:ticker: unknown ticker 'ccd'; did you mean 'CCC'? (allowed: AAA, BBB, CCC)",
    ),
    "id twice": (
        lines("id,weight", "AAA,1", "BBB,1", "AAA,2", "CCC,1"),
        "file.csv:4:id: 'AAA' is in row 2 already; keep one row for each",
    ),
    "unknown id": (
        lines("id,weight", "AAA,1", "BBB,1", "CCC,1", "ccd,1"),
        "file.csv:5:id: unknown id 'ccd'; did you mean 'CCC'? (allowed: AAA, BBB, CCC)",
    ),
    "empty id": (
        lines("id,weight", "AAA,1", "BBB,1", "CCC,1", ",1"),
        "file.csv:5:id: unknown id '' (allowed: AAA, BBB, CCC)",
    ),
    "names without a row": (
        lines("id,weight", "BBB,1"),
        "file.csv: no row for 2 of 3 names: AAA, CCC; add each, with weight 0 where there is no position, or fit the "
        "inputs only to the columns that are held, `fit.columns: [BBB]`",
    ),
    "missing weight": (
        lines("id,weight", "AAA,1", "BBB,", "CCC,1"),
        "file.csv:3:weight: is missing; write 0 for no position",
    ),
    "infinite weight": (
        lines("id,weight", "AAA,1", "BBB,inf", "CCC,1"),
        "file.csv:3:weight: must be a finite number with a decimal point, got 'inf'; write 0 for no position",
    ),
    "weight in words": (
        lines("id,weight", "AAA,10%", "BBB,1", "CCC,1"),
        "file.csv:2:weight: must be a finite number with a decimal point, got '10%'; write 0 for no position",
    ),
    "nothing held": (
        lines("id,weight", "AAA,0", "BBB,0.0", "CCC,-0"),
        "file.csv: every weight is 0; at least one position must be held",
    ),
    "too many cells": (
        lines("id,weight", "AAA,1,5", "AAA,1", "BBB,1", "CCC,1"),
        "file.csv:2: has 3 cells, must have 2 as the header does; quote a cell that contains a comma",
    ),
    "several": (
        lines("id,weight", "AAA,x", "ABB,1", "CCC,1"),
        "file.csv:2:weight: must be a finite number with a decimal point, got 'x'; write 0 for no position\n"
        "file.csv:3:id: unknown id 'ABB'; did you mean 'BBB'? (allowed: AAA, BBB, CCC)\n"
        "file.csv: no row for 1 of 3 names: BBB; add each, with weight 0 where there is no position, or fit the "
        "inputs only to the columns that are held, `fit.columns: [AAA, CCC]`",
    ),
    "only a header": ("id,weight\n", "file.csv: has a header row but no data rows"),
}


@pytest.mark.parametrize(("text", "message"), POSITION_ERRORS.values(), ids=POSITION_ERRORS)
def test_bad_positions_are_refused_with_their_place(write, text, message):
    with pytest.raises(DataError) as caught:
        read_positions(write(text), NAMES)
    assert str(caught.value) == message


# --- returns that cannot be right --------------------------------------------------------------------

MOVE_HINT = "correct it, adjust earlier prices for a split, or raise `max_return` (2) where it is right"

DOUBTS = {
    "per cent taken for fractions": (
        {"returns": "log"},
        lines("date,A", "2020-01-01,0.5", "2020-01-02,3.0", "2020-01-03,-2.5"),
        "file.csv:3:A: is a return of 300 %, got 3.0; is `unit: percent` meant? Correct it, "
        "or raise `max_return` (2) where it is right\n"
        "file.csv:4:A: is a return of -250 %, got -2.5; is `unit: percent` meant? Correct it, "
        "or raise `max_return` (2) where it is right",
    ),
    "per cent": (
        {"returns": "log", "unit": "percent"},
        lines("date,A", "2020-01-01,0.5", "2020-01-02,300", "2020-01-03,201"),
        "file.csv:3:A: is a return of 300 %, got 300; correct it, or raise `max_return` (2) where it is right\n"
        "file.csv:4:A: is a return of 201 %, got 201; correct it, or raise `max_return` (2) where it is right",
    ),
    "a simple return of less than everything": (
        {"returns": "simple", "max_return": 10.0},
        lines("date,A", "2020-01-01,0.5", "2020-01-02,-1.01", "2020-01-03,0.1"),
        "file.csv:3:A: no price falls by more than 100 %, got -1.01; is `unit: percent` meant? Correct it",
    ),
    "outside the range": ({"returns": "log", "end": day("2020-01-02")}, lines(
        "date,A", "2020-01-01,0.5", "2020-01-02,0.2", "2020-01-03,7"), None),
    "believed": ({"returns": "log", "max_return": 3.0}, lines("date,A", "2020-01-01,0.5", "2020-01-02,3.0"), None),
    "the largest": ({"returns": "log"}, lines("date,A", "2020-01-01,-2", "2020-01-02,2"), None),
    "ruin": ({"returns": "simple"}, lines("date,A", "2020-01-01,-1", "2020-01-02,0"), None),
    "small ones are never refused": (
        {"returns": "log", "unit": "percent"},
        lines("date,A", *(f"{1900 + k}-01-01,{0.01 * (k % 7)}" for k in range(120))),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "text", "message"), DOUBTS.values(), ids=DOUBTS)
def test_a_return_that_cannot_be_right_is_refused(write, options, text, message):
    if message is None:
        assert len(returns(write(text), **options).values) >= 2
        return
    with pytest.raises(DataError) as caught:
        returns(write(text), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["log", "simple"])
def test_a_price_that_moves_too_far_is_refused_with_both_prices(write, kind):
    path = write(lines("date,A,B", "2020-01-01,100,1", "2020-01-02,101,2", "2020-01-03,1.01,3", "2020-01-06,1,40"))
    with pytest.raises(DataError) as caught:
        prices(path, returns=kind)
    assert str(caught.value) == (
        f"file.csv:4:A: the price goes from 101 on 2020-01-02 to 1.01, a log return of -4.61; {MOVE_HINT}\n"
        f"file.csv:5:B: the price goes from 3 on 2020-01-03 to 40, a log return of 2.59; {MOVE_HINT}"
    )
    assert prices(path, returns=kind, max_return=5.0).values.shape == (3, 2)


@pytest.mark.parametrize("missing", ["drop", "previous"])
def test_a_move_over_a_gap_is_found_at_its_line(write, missing):
    path = write(lines("date,A", "2020-01-01,100", "2020-01-02,", "2020-01-03,1", "2020-01-04,2"))
    with pytest.raises(DataError, match=r"^file\.csv:4:A: the price goes from 100 on 2020-01-0[12] to 1, "):
        prices(path, missing=missing)


# --- Parquet -----------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path):
    """A function that writes columns to ``file.parquet`` and returns the path."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def _write(columns, name="file.parquet"):
        path = tmp_path / name
        table = columns if isinstance(columns, arrow.Table) else arrow.table(columns)
        parquet.write_table(table, path)
        return path

    return _write


DAYS = [day(text) for text in ("2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06")]


def timestamps(days):
    return [datetime.datetime.combine(one, datetime.time()) for one in days]


@pytest.mark.parametrize("key", ["returns_csv", "returns_file"])
def test_returns_may_come_from_parquet(parquet, key):
    values = [0.1, -1 / 3, 1e-17, 0.30000000000000004]
    path = parquet({"date": DAYS, "F": values})
    table = ReturnsSource(**{key: path, "returns": "log", "unit": "fraction"}).load()
    np.testing.assert_array_equal(table.values[:, 0], values)
    assert table.dates == tuple(DAYS)


@pytest.mark.parametrize(
    "dates",
    [DAYS, timestamps(DAYS), [one.isoformat() for one in DAYS]],
    ids=["date", "timestamp", "text"],
)
def test_a_parquet_file_is_read_as_the_csv_file_with_the_same_numbers(parquet, write, dates):
    path = parquet({"date": dates, "AAA": [100, 110, 99, 105], "BBB": [50, 49, 50.5, 51]})
    table, expected = prices(path), prices(write(PRICES))
    np.testing.assert_array_equal(table.values, expected.values)
    assert (table.names, table.dates) == (expected.names, expected.dates)
    raw = path.read_bytes()
    facts = expected.source.to_dict() | {
        "name": "file.parquet", "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()
    }  # fmt: skip
    assert table.source.to_dict() == facts


def test_a_file_of_many_row_groups_keeps_its_row_numbers(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    days = [day("2000-01-01") + datetime.timedelta(days=k) for k in range(1000)]
    values = [1.0 + 0.01 * (k % 5) for k in range(999)] + [-1.0]
    pq.write_table(arrow.table({"date": days, "A.B": values}), tmp_path / "f.parquet", row_group_size=64)
    with pytest.raises(DataError, match=r"^f\.parquet:1000:A\.B: must be a positive price, got -1\.0; "):
        prices(tmp_path / "f.parquet")
    assert len(prices(tmp_path / "f.parquet", end=days[-2]).values) == 998


@pytest.mark.parametrize("missing", [None, float("nan")], ids=["null", "nan"])
def test_a_null_is_a_missing_value(parquet, missing):
    arrow = pytest.importorskip("pyarrow")
    path = parquet({"date": DAYS, "A": arrow.array([1.0, missing, 2.0, 3.0])})
    table = prices(path, missing="drop")
    assert (table.dates, table.source.missing) == (tuple(DAYS[2:]), 1)
    with pytest.raises(DataError, match=r"^file\.parquet:2:A: is missing, got '(nan)?'; fill it in or choose"):
        prices(path)


def test_the_index_of_a_pandas_frame_is_the_first_column(tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    for name in ("when", None):
        index = pandas.DatetimeIndex(DAYS, name=name)
        pandas.DataFrame({"A": [1.0, 2.0, 3.0, 2.0]}, index=index).to_parquet(tmp_path / "f.parquet")
        table = prices(tmp_path / "f.parquet")
        assert (table.names, table.dates) == (("A",), tuple(DAYS[1:]))
    pandas.DataFrame({"day": DAYS, "A": [1.0, 2.0, 3.0, 2.0]}).to_parquet(tmp_path / "f.parquet")
    assert prices(tmp_path / "f.parquet").dates == tuple(DAYS[1:])


PARQUET_ERRORS = {
    "a time of day": (
        {"date": [datetime.datetime(2020, 1, 1, 9, 30)], "A": [1.0]},
        "file.parquet:1:date: must be a date YYYY-MM-DD or YYYY-MM, got '2020-01-01 09:30:00'",
    ),
    "no date": (
        {"A": [1.5], "B": [1.0]},
        "file.parquet:1:A: must be a date YYYY-MM-DD or YYYY-MM, got '1.5'",
    ),
    "truth": (
        {"date": [day("2020-01-01")], "A": [True]},
        f"file.parquet:1:A: must be a finite number with a decimal point, got 'True'; {NUMBER_HINT}",
    ),
    "infinity": (
        {"date": DAYS[:2], "A": [1.0, float("inf")]},
        f"file.parquet:2:A: must be a finite number with a decimal point, got 'inf'; {NUMBER_HINT}",
    ),
    "falling date": (
        {"date": [DAYS[1], DAYS[0]], "A": [1.0, 2.0]},
        "file.parquet:2:date: must be later than the row before, got 2020-01-01 after 2020-01-02; "
        "sort the rows by date, the oldest first",
    ),
    "one column": ({"date": DAYS}, "file.parquet: must have at least 2 columns, got date"),
    "no rows": ({"date": [], "A": []}, "file.parquet: has no rows"),
}


@pytest.mark.parametrize(("columns", "message"), PARQUET_ERRORS.values(), ids=PARQUET_ERRORS)
def test_a_bad_parquet_file_is_refused_with_its_place(parquet, columns, message):
    with pytest.raises(DataError) as caught:
        prices(parquet(columns))
    assert str(caught.value) == message


def test_an_unknown_column_of_parquet_is_named(parquet):
    with pytest.raises(DataError, match=r"^file\.parquet: unknown column 'a'; did you mean 'A'\? \(allowed: A\)$"):
        prices(parquet({"date": DAYS, "A": [1.0, 2.0, 3.0, 4.0]}), columns=("a",))


def test_what_is_only_called_parquet_is_refused(write):
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"^file\.parquet: is not valid Parquet: "):
        prices(write(PRICES, "file.parquet"))


def test_parquet_without_pyarrow_says_what_to_install(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError) as caught:
        prices(write(PRICES, "file.parquet"))
    assert str(caught.value) == "file.parquet: needs pyarrow: pip install 'raresim[arrow]'"


def test_positions_may_come_from_parquet(parquet):
    path = parquet({"weight": [0.25, -1.0, 0.0], "id": ["BBB", "AAA", "CCC"]})
    np.testing.assert_array_equal(read_positions(path, NAMES), [-1.0, 0.25, 0.0])


# --- arrays and frames -------------------------------------------------------------------------------

VALUES = np.array([[0.01, 0.02], [-0.03, 0.01], [0.0, 0.005], [0.02, -0.01]])


def test_an_array_becomes_a_table():
    table = ReturnsTable.of(VALUES)
    np.testing.assert_array_equal(table.values, VALUES)
    assert (table.names, table.dates, table.returns) == (("x1", "x2"), (), None)
    assert not table.values.flags.writeable
    assert VALUES.flags.writeable
    assert table.describe() == "array: 4 returns of 2 columns"
    assert json.loads(json.dumps(table.source.to_dict())) == {
        "name": "array",
        "bytes": 64,
        "sha256": hashlib.sha256(VALUES.tobytes()).hexdigest(),
        "rows": 4,
        "columns": 2,
        "first_date": None,
        "last_date": None,
        "missing": 0,
        "missing_policy": "error",
    }


def test_the_layout_of_an_array_does_not_matter():
    given = [VALUES, np.asfortranarray(VALUES), VALUES.tolist(), np.array(VALUES, dtype=object)]
    assert len({ReturnsTable.of(one).source.sha256 for one in given}) == 1


@pytest.mark.parametrize(
    "dates",
    [
        DAYS,
        timestamps(DAYS),
        [one.isoformat() for one in DAYS],
        np.array(DAYS, dtype="datetime64[ns]"),
    ],
    ids=["date", "datetime", "text", "datetime64"],
)
def test_dates_of_an_array_may_be_of_any_type(dates):
    table = ReturnsTable.of(VALUES, dates, ["A", "B"], returns="log")
    assert table.dates == tuple(DAYS)
    assert table.describe() == "array: 4 log returns of 2 columns, 2020-01-01 to 2020-01-06"
    assert (table.source.first_date, table.source.last_date) == (DAYS[0], DAYS[-1])


def test_a_pandas_frame_gives_its_columns_and_dates():
    pandas = pytest.importorskip("pandas")
    index = pandas.DatetimeIndex(DAYS)
    frame = pandas.DataFrame(VALUES, columns=["A", "B"], index=index)
    for given in (frame, frame.tz_localize("Europe/Berlin"), frame.set_axis(pandas.Index(DAYS), axis=0)):
        table = ReturnsTable.of(given)
        assert (table.names, table.dates) == (("A", "B"), tuple(DAYS))
        np.testing.assert_array_equal(table.values, VALUES)
    assert ReturnsTable.of(frame, names=["C", "D"]).names == ("C", "D")
    assert ReturnsTable.of(frame.reset_index(drop=True)).dates == ()
    one = ReturnsTable.of(frame["B"])
    assert (one.names, one.dates, one.values.shape) == (("B",), tuple(DAYS), (4, 1))


def test_a_polars_frame_gives_its_columns():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"date": DAYS, "A": VALUES[:, 0], "B": VALUES[:, 1]})
    table = ReturnsTable.of(frame.select("A", "B"), dates=frame["date"])
    assert (table.names, table.dates) == (("A", "B"), tuple(DAYS))
    np.testing.assert_array_equal(table.values, VALUES)
    with pytest.raises(DataError, match=r"^array:0:date: is a return of 1\.8262e\+06 %, got 18262\.0; "):  # days
        ReturnsTable.of(frame)


def with_cell(value):
    changed = VALUES.copy()
    changed[2, 1] = value
    return changed


FRAME_ERRORS = {
    "nan": ({"frame": with_cell(np.nan)}, "array:2:x2: must be finite, got nan; leave out or fill its row"),
    "infinity": ({"frame": with_cell(-np.inf)}, "array:2:x2: must be finite, got -inf; leave out or fill its row"),
    "per cent": (
        {"frame": with_cell(3.0)},
        "array:2:x2: is a return of 300 %, got 3.0; are these per cent? Divide them by 100, "
        "or raise `max_return` (2) where it is right",
    ),
    "a simple return of less than everything": (
        {"frame": with_cell(-1.5), "returns": "simple"},
        "array:2:x2: no price falls by more than 100 %, got -1.5; are these per cent? Divide them by 100",
    ),
    "constant": (
        {"frame": np.array([[0.1, 0.2], [0.1, 0.1]])},
        "array: the returns of column 'x1' are constant; leave it out with `columns`",
    ),
    "names": ({"frame": VALUES, "names": ["A"]}, "array: must have 2 names, one for each column, got 1"),
    "name twice": (
        {"frame": VALUES, "names": ["A", "A"]},
        "array: each column needs a name of its own, got A more than once",
    ),
    "empty name": ({"frame": VALUES, "names": ["A", ""]}, "array: every column needs a name, got an empty one"),
    "dates": ({"frame": VALUES, "dates": DAYS[:3]}, "array: must have 4 dates, one for each row, got 3"),
    "date twice": (
        {"frame": VALUES, "dates": [*DAYS[:3], DAYS[2]]},
        "array:3: must be later than the row before, got 2020-01-03 after 2020-01-03",
    ),
    "no date": ({"frame": VALUES, "dates": [*DAYS[:3], "soon"]}, "array:3: must be a date, got soon"),
    "not a time": (
        {"frame": VALUES, "dates": np.array([*DAYS[:3], "NaT"], dtype="datetime64[D]")},
        "array:3: must be a date, got NaT",
    ),
    "numbers for dates": ({"frame": VALUES, "dates": [1, 2, 3, 4]}, "array:0: must be a date, got 1"),
    "text": (
        {"frame": [["0.1", "0.2"]]},
        "array: the values must be numbers, got str96; select the columns of returns and leave out missing values",
    ),
    "None": (
        {"frame": [[0.1, None]]},
        "array: the values must be numbers, got object; select the columns of returns and leave out missing values",
    ),
    "three dimensions": (
        {"frame": np.zeros((2, 2, 2))},
        "array: must be rows of returns, one column for each asset, got shape (2, 2, 2)",
    ),
    "nothing": (
        {"frame": np.zeros((0, 2))},
        "array: must be rows of returns, one column for each asset, got shape (0, 2)",
    ),
    "one row": (
        {"frame": VALUES[:1]},
        "array: at least 2 returns are needed, got 1; widen the date range or, "
        "where values are missing, leave out columns",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), FRAME_ERRORS.values(), ids=FRAME_ERRORS)
def test_a_bad_frame_is_refused_with_its_place(arguments, message):
    with pytest.raises(DataError) as caught:
        ReturnsTable.of(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("field", ["returns", "covariance", "max_return"])
def test_an_option_of_a_frame_is_checked(field):
    with pytest.raises(FieldError) as caught:
        ReturnsTable.of(VALUES, **{field: -1.0})
    assert caught.value.field == field


@pytest.mark.parametrize("law", [Normal, StudentT])
@pytest.mark.slow_cases("Normal")
def test_a_law_is_the_same_whatever_its_data_come_in(law):
    source = ReturnsSource(prices=STOCKS, returns="log", start=day("2015-01-01"), columns=("KO", "XOM", "AAPL"))
    table = source.load()
    expected = law.fit(source)
    for data in (table, ReturnsTable.of(table.values, table.dates, table.names, returns="log"), table.values):
        found = law.fit(data)
        np.testing.assert_array_equal(found.linear_moments(np.ones(3)), expected.linear_moments(np.ones(3)))
    assert found.fitted.lines[0] == "fitted to array: 2,011 returns of 3 columns"
    assert expected.fitted.lines[0] == (
        "fitted to us20_prices_2000_2022.csv: 2,011 log returns of 3 columns, 2015-01-05 to 2022-12-28"
    )
    assert expected.fitted.lines[1].startswith("volatilities of the sample; its correlations times 0.9")
    sample = law.fit(ReturnsTable.of(table.values, covariance="sample"))
    assert sample.fitted.lines[1] == "sample covariance"
    assert sample.linear_moments(np.ones(3)) != expected.linear_moments(np.ones(3))


# --- one column --------------------------------------------------------------------------------------

CLAIMS = lines("claim,loss,year", "1,1.5,1980", "2,,1980", "3,2.25,1981")


def test_a_column_is_read_as_it_stands(write):
    path = write(lines("claim,loss", "9,1.5", "9,1.25", "1,-2e3"))
    column = ColumnSource(file=path, column="loss").load()
    np.testing.assert_array_equal(column.values, [1.5, 1.25, -2000.0])
    assert not column.values.flags.writeable
    assert column.name == "loss"
    first = ColumnSource(file=path, column="claim").load()
    np.testing.assert_array_equal(first.values, [9, 9, 1])
    assert (first.source.rows, first.source.columns, first.source.first_date) == (3, 1, None)


def test_a_file_of_one_column_will_do(write):
    np.testing.assert_array_equal(ColumnSource(file=write("loss\n3\n1\n"), column="loss").load().values, [3, 1])


def test_missing_values_of_a_column_are_refused_or_dropped(write):
    path = write(CLAIMS)
    with pytest.raises(
        DataError, match=r"^file\.csv:3:loss: is missing, got ''; fill it in or choose `missing: drop`$"
    ):
        ColumnSource(file=path, column="loss").load()
    column = ColumnSource(file=path, column="loss", missing="drop").load()
    np.testing.assert_array_equal(column.values, [1.5, 2.25])
    assert column.source.to_dict() == {
        "name": "file.csv",
        "bytes": len(CLAIMS),
        "sha256": hashlib.sha256(CLAIMS.encode()).hexdigest(),
        "rows": 3,
        "columns": 1,
        "first_date": None,
        "last_date": None,
        "missing": 1,
        "missing_policy": "drop",
    }


def test_a_column_may_come_from_parquet(parquet):
    path = parquet({"claim": [1, 2, 3], "loss": [1.5, None, 0.1]})
    np.testing.assert_array_equal(ColumnSource(file=path, column="loss", missing="drop").load().values, [1.5, 0.1])


COLUMN_ERRORS = {
    "unknown column": (
        CLAIMS,
        "los",
        "file.csv:1: unknown column 'los'; did you mean 'loss'? (allowed: claim, loss, year)",
    ),
    "text": (
        lines("a,b", "1,x"),
        "b",
        f"file.csv:2:b: must be a finite number with a decimal point, got 'x'; {NUMBER_HINT}",
    ),
    "nothing there": (lines("a,b", "1,", "2,NA"), "b", "file.csv: every value of column 'b' is missing"),
    "too few cells": (
        lines("a,b", "1"),
        "b",
        "file.csv:2: has 1 cells, must have 2 as the header does; quote a cell that contains a comma",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message"), COLUMN_ERRORS.values(), ids=COLUMN_ERRORS)
def test_a_bad_column_is_refused_with_its_place(write, text, column, message):
    with pytest.raises(DataError) as caught:
        ColumnSource(file=write(text), column=column, missing="drop").load()
    assert str(caught.value) == message


def test_a_column_has_no_previous_value():
    with pytest.raises(FieldError, match=r"^missing: unknown value 'previous' \(allowed: error, drop\)$"):
        ColumnSource(file=Path("a"), column="b", missing="previous")


# --- covariance --------------------------------------------------------------------------------------


def slow_ledoit_wolf(values):
    """Ledoit and Wolf (2004), lemmas 3.2 to 3.4, of the correlations: one pair of columns and one row at a time."""
    n, d = values.shape
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    pairs = [(i, j) for i in range(d) for j in range(d) if i != j]
    sample = {(i, j): sum(z[:, i] * z[:, j]) / n for i, j in pairs}
    d2 = sum(r**2 for r in sample.values())
    b2 = min(sum((row[i] * row[j] - sample[i, j]) ** 2 for row in z for i, j in pairs) / n**2, d2)
    cov = np.diag(values.var(axis=0))
    for i, j in pairs:
        cov[i, j] = (1 - b2 / d2) * sample[i, j] * values[:, i].std() * values[:, j].std()
    return cov, b2 / d2


@pytest.mark.parametrize(("n", "d"), [(200, 6), (12, 30), (3, 2), (500, 1), (40, 40)])
@pytest.mark.parametrize("correlated", [False, True], ids=["independent", "correlated"])
def test_ledoit_wolf_equals_its_formulas(n, d, correlated):
    rng = np.random.default_rng(20261124 + n + d)
    values = rng.standard_normal((n, d)) + 10.0
    if correlated:
        values = values @ rng.standard_normal((d, d))
    found = covariance(values, "ledoit_wolf")
    if d == 1:  # the formulas divide zero by zero: there is no pair
        assert found.shrinkage == 0.0
        np.testing.assert_allclose(found.cov, [[values.var()]], rtol=1e-13)
        return
    cov, shrinkage = slow_ledoit_wolf(values)
    assert found.shrinkage == pytest.approx(shrinkage, rel=1e-11)
    np.testing.assert_allclose(found.cov, cov, rtol=0, atol=1e-12 * np.abs(cov).max())
    np.linalg.cholesky(found.cov)


def test_shrinkage_of_the_twenty_stocks():
    found = covariance(prices(STOCKS).values)
    z = prices(STOCKS).values
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    products = z[:, :, None] * z[:, None, :]
    off = ~np.eye(20, dtype=bool)
    errors, squares = products.var(axis=0)[off].sum() / len(z), (products.mean(axis=0)[off] ** 2).sum()
    assert found.shrinkage == pytest.approx(errors / squares, rel=1e-9)
    assert 0.005 < found.shrinkage < 0.007


def test_shrinkage_vanishes_with_more_rows_and_is_full_for_pure_noise():
    rng = np.random.default_rng(11)
    mix = np.array([[1.0, 0.5, 0.2], [0.0, 2.0, 1.0], [0.0, 0.0, 3.0]])
    few, many = (covariance(rng.standard_normal((n, 3)) @ mix).shrinkage for n in (50, 50_000))
    assert 0 < many < few / 100
    assert covariance(rng.standard_normal((40, 200))).shrinkage > 0.9


@pytest.mark.parametrize("method", ["sample", "ledoit_wolf"])
def test_covariance_scales_and_ignores_shift_and_order(method):
    rng = np.random.default_rng(5)
    values = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))
    base = covariance(values, method)
    moved = covariance(3.0 * values[rng.permutation(60)] - 7.0, method)
    np.testing.assert_allclose(moved.cov, 9.0 * base.cov, rtol=1e-11)
    assert moved.shrinkage == pytest.approx(base.shrinkage, rel=1e-11)


def test_sample_covariance_divides_by_n_minus_one():
    values = prices(STOCKS).values
    found = covariance(values, "sample")
    np.testing.assert_allclose(found.cov, np.cov(values, rowvar=False), rtol=1e-11)
    assert found.shrinkage == 0.0


def test_variances_are_kept_by_shrinkage():
    values = np.random.default_rng(8).standard_normal((30, 9)) * np.arange(1, 10)
    np.testing.assert_allclose(np.diag(covariance(values).cov), values.var(axis=0), rtol=1e-13)


@pytest.mark.parametrize("method", ["sample", "ledoit_wolf"])
def test_18_2_covariance_does_not_know_the_units_of_columns(method):
    rng = np.random.default_rng(2)
    values = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))
    units = np.array([1e-6, 1.0, 3.0, 1e4])
    base, scaled = covariance(values, method), covariance(values * units, method)
    np.testing.assert_allclose(scaled.cov, base.cov * np.outer(units, units), rtol=1e-11)
    assert scaled.shrinkage == pytest.approx(base.shrinkage, rel=1e-11)
    assert scaled.moved == pytest.approx(base.moved, rel=1e-11)


def test_18_2_a_quiet_column_keeps_its_volatility():
    """The example of the issue: 500 returns of volatilities 0.02, 0.3 and 2 %; the first one's VaR was 7.5 times it."""
    values = np.random.default_rng(3).standard_normal((500, 3)) * [2e-4, 3e-3, 2e-2]
    for law in (Normal.fit(values), StudentT.fit(values * np.random.default_rng(4).chisquare(5.0, (500, 1)) ** -0.5)):
        table = values if isinstance(law, Normal) else law.fitted.history.values
        for k in range(3):
            std = law.linear_moments(np.eye(3)[k])[1]
            assert std == pytest.approx(table[:, k].std(), rel=1e-12)


def test_18_2_degrees_of_freedom_do_not_know_the_units_of_columns():
    rng = np.random.default_rng(6)
    shocks = rng.multivariate_normal(np.zeros(10), 0.5 * np.eye(10) + 0.5, 2000)
    values = 1e-3 * shocks * np.sqrt(50.0 / rng.chisquare(50.0, (2000, 1)))
    alike, apart = StudentT.fit(values).dof, StudentT.fit(values * np.logspace(0.0, 2.0, 10)).dof
    assert apart == pytest.approx(alike, rel=1e-5), "a likelihood that flat has its largest value to 1e-6"
    assert alike > 25, "it was fitted as 9.1 where volatilities are 1 to 100"


def test_18_2_the_fit_says_how_far_it_shrinks():
    rng = np.random.default_rng(9)
    values = 0.01 * (rng.standard_normal((40, 6)) + rng.standard_normal((40, 1)))
    found = Normal.fit(values)
    estimate = covariance(values)
    assert 0.05 < estimate.shrinkage < 0.5
    sample = np.corrcoef(values, rowvar=False)
    assert estimate.moved == pytest.approx(estimate.shrinkage * np.abs(sample - np.eye(6)).max(), rel=1e-12)
    assert found.fitted.lines[1] == (
        f"volatilities of the sample; its correlations times {1 - estimate.shrinkage:.4g} "
        f"(Ledoit-Wolf shrinkage {estimate.shrinkage:.4g})"
    )
    assert found.assumptions == {
        "shrinkage": estimate.shrinkage,
        "correlation_moved": estimate.moved,
        "dependent_columns": [],
    }
    loss = Linear(weights="equal").bind(found)
    exposure = np.full(6, -1 / 6)
    ratio = math.sqrt(exposure @ estimate.cov @ exposure) / (values @ exposure).std()
    assert loss.assumptions(found)["loss_std_ratio"] == pytest.approx(ratio, rel=1e-12)
    assert ratio < 0.98
    single = Normal.fit(values[:, :1])
    assert single.assumptions == {}, "one column has no correlation to shrink"


BASE = np.random.default_rng(12).standard_normal((30, 3)) * 0.01


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (BASE, []),
        (BASE[:, [0, 1, 0]], ["column 'C' is a copy of column 'A'"]),
        (np.column_stack([BASE[:, 0], BASE[:, 1], 1e-3 - 2 * BASE[:, 0]]), ["column 'C' is a multiple of column 'A'"]),
        (
            np.column_stack([BASE[:, 0], BASE[:, 1], 0.3 * BASE[:, 0] - BASE[:, 1]]),
            ["column 'C' is a linear combination of the columns 'A', 'B'"],
        ),
        (BASE[:3], ["3 rows are too few for 3 columns: more than 3 are needed to see all their correlations"]),
        (BASE[:, [0, 0, 0]], ["column 'B' is a copy of column 'A'", "column 'C' is a copy of column 'A'"]),
    ],
    ids=["none", "copy", "multiple", "combination", "rows", "copies"],
)
def test_18_2_columns_that_follow_from_others_are_said(values, said):
    names = ("A", "B", "C")
    assert dependencies(names, values) == said
    found = Normal.fit(ReturnsTable.of(values, names=names))
    assert found.fitted.lines[2:] == tuple(said)
    assert found.assumptions["dependent_columns"] == said
    sample = ReturnsTable.of(values, names=names, covariance="sample")
    if not said:
        Normal.fit(sample)
        return
    for law in (Normal, StudentT):
        with pytest.raises(DataError) as caught:
            law.fit(sample)
        assert str(caught.value).startswith("; ".join(said) + ": their sample covariance is singular; leave such")


@pytest.mark.parametrize("copula", [None, "gaussian", "t"])
def test_18_2_copies_have_no_copula_of_their_ranks(copula):
    values = 0.01 * np.random.default_rng(13).standard_normal((60, 2))
    table = ReturnsTable.of(values[:, [0, 1, 0]], names=("A", "B", "C"))
    with pytest.raises(DataError) as caught:
        FittedInputs(fit=table, margins="normal", copula=copula)
    assert str(caught.value) == (
        "column 'C' is a copy of column 'A': no copula of their ranks can be fitted; leave such columns out with "
        "`columns`, or use more rows"
    )


def test_no_dispersion_means_no_shrinkage():
    values = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = covariance(values)
    assert found.shrinkage == 0.0
    np.testing.assert_allclose(found.cov, 0.5 * np.eye(2), rtol=1e-15)


def test_covariance_names_what_it_cannot_do():
    values = np.random.default_rng(1).standard_normal((5, 5))
    with pytest.raises(DataError) as caught:
        covariance(values, "sample")
    assert str(caught.value) == (
        "covariance: a sample covariance of 5 columns needs more than 5 rows, got 5; "
        "use `covariance: ledoit_wolf`, more rows or fewer columns"
    )
    with pytest.raises(DataError, match=r"^covariance: at least 2 rows are needed, got 1$"):
        covariance(values[:1])
    with pytest.raises(FieldError, match=r"^covariance: unknown value 'samples'; did you mean 'sample'\?"):
        covariance(values, "samples")


# --- degrees of freedom ------------------------------------------------------------------------------

COV = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 1.0]])
MEAN = np.array([1.0, -2.0, 0.5])


def student_t(rng, n, dof, mean=MEAN, cov=COV):
    """Draws ``(n, d)`` of a Student t with this mean and covariance."""
    normal = rng.standard_normal((n, len(mean))) @ np.linalg.cholesky(cov).T
    return mean + normal * np.sqrt((dof - 2) / rng.chisquare(dof, (n, 1)))


def log_likelihood(values, mean, cov, dof):
    """Total log-likelihood by scipy, at a covariance that is held fixed."""
    return multivariate_t.logpdf(values, mean, cov * (dof - 2) / dof, df=dof).sum()


@pytest.mark.parametrize("dof", [2.5, 4.0, 8.0, 25.0])
@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=1e-3)
def test_dof_is_recovered_within_its_standard_error(dof):
    """Mean and covariance are the true ones, so the standard error is that of plain maximum likelihood.

    It is ``information ** -0.5``; the observed information is the second difference of scipy's
    log-likelihood.
    """
    values = student_t(np.random.default_rng(2024), 20_000, dof)
    found = fit_student_t_dof(values, MEAN, COV)
    h = 1e-2 * (dof - 2)
    ends = [log_likelihood(values, MEAN, COV, found + step) for step in (-h, 0.0, h)]
    std_error = h / np.sqrt(2 * ends[1] - ends[0] - ends[2])
    assert 0 < std_error < 0.1 * dof
    assert_within_error(found, dof, std_error)


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_dof_is_recovered_when_mean_and_covariance_are_estimated_first():
    """The standard error of both steps together, from a jackknife that leaves out one of 50 groups."""
    dof, n, groups = 7.0, 20_000, 50
    values = student_t(np.random.default_rng(7), n, dof)

    def two_steps(rows):
        return fit_student_t_dof(rows, rows.mean(axis=0), covariance(rows, "sample").cov)

    parts = np.split(values, groups)
    left_out = [two_steps(np.concatenate(parts[:k] + parts[k + 1 :])) for k in range(groups)]
    std_error = np.sqrt((groups - 1) * np.var(left_out))
    assert 0 < std_error < 0.05 * dof
    assert_within_error(two_steps(values), dof, std_error, groups - 1)


@pytest.mark.parametrize("dof", [3.0, 10.0])
def test_dof_is_the_maximum_of_a_grid(dof):
    rows = student_t(np.random.default_rng(31), 1_500, dof)
    mean, cov = rows.mean(axis=0), covariance(rows).cov
    found = fit_student_t_dof(rows, mean, cov)
    coarse = 2 + np.geomspace(0.05, 198, 300)
    best = np.argmax([log_likelihood(rows, mean, cov, point) for point in coarse])
    fine = np.linspace(coarse[best - 1], coarse[best + 1], 401)
    peak = fine[np.argmax([log_likelihood(rows, mean, cov, point) for point in fine])]
    assert abs(found - peak) <= fine[1] - fine[0]


def test_forgetting_to_rescale_the_covariance_would_be_seen():
    """Control for the test above: a likelihood that takes the covariance for the scale peaks elsewhere."""
    rows = student_t(np.random.default_rng(31), 1_500, 3.0)
    mean, cov = rows.mean(axis=0), covariance(rows).cov
    grid = np.linspace(2.05, 20, 400)
    wrong = grid[np.argmax([multivariate_t.logpdf(rows, mean, cov, df=dof).sum() for dof in grid])]
    assert abs(fit_student_t_dof(rows, mean, cov) - wrong) > 0.1


@pytest.mark.slow
def test_dof_of_the_twenty_stocks():
    values = prices(STOCKS).values
    mean = values.mean(axis=0)
    cov = covariance(values).cov
    found = fit_student_t_dof(values, mean, cov)
    grid = np.linspace(3.7, 3.9, 401)
    peak = grid[np.argmax([log_likelihood(values, mean, cov, dof) for dof in grid])]
    assert abs(found - peak) <= grid[1] - grid[0]


def test_dof_does_not_depend_on_units_or_repetition():
    rows = student_t(np.random.default_rng(9), 800, 6.0)
    base = fit_student_t_dof(rows, MEAN, COV)
    mix = np.array([[2.0, 1.0, 0.0], [0.0, 100.0, 3.0], [1.0, 0.0, -0.01]])
    assert fit_student_t_dof(rows @ mix.T, mix @ MEAN, mix @ COV @ mix.T) == pytest.approx(base, rel=1e-6)
    assert fit_student_t_dof(np.tile(rows, (2, 1)), MEAN, COV) == pytest.approx(base, rel=1e-6)


def test_one_column_will_do():
    rng = np.random.default_rng(12)
    rows = student_t(rng, 5_000, 5.0, np.zeros(1), np.eye(1))
    found = fit_student_t_dof(rows, [0.0], [[1.0]])
    assert log_likelihood(rows[:, 0], 0.0, 1.0, found) >= log_likelihood(rows[:, 0], 0.0, 1.0, 5.0)


def test_tails_that_are_not_heavy_are_refused():
    rows = np.random.default_rng(3).uniform(-1, 1, (2_000, 3))
    with pytest.raises(DataError) as caught:
        fit_student_t_dof(rows, rows.mean(axis=0), covariance(rows, "sample").cov)
    assert str(caught.value) == (
        f"dof: the likelihood still rises at the largest allowed value, {DOF_BOUNDS[1]:g}: "
        "these tails are no heavier than normal; use `kind: normal`"
    )


def test_tails_too_heavy_for_a_covariance_are_refused():
    rows = np.random.default_rng(4).standard_t(0.5, (2_000, 2))
    with pytest.raises(DataError) as caught:
        fit_student_t_dof(rows, rows.mean(axis=0), covariance(rows, "sample").cov)
    assert str(caught.value) == (
        f"dof: the likelihood still rises at the smallest allowed value, {DOF_BOUNDS[0]:g}: "
        "these tails are too heavy for a covariance; look for outliers or another date range, "
        "or state the law's parameters instead of fitting it"
    )


def test_a_covariance_that_is_none_is_refused():
    rows = np.random.default_rng(6).standard_normal((50, 2))
    with pytest.raises(FieldError, match=r"^cov: must be positive definite"):
        fit_student_t_dof(rows, [0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(FieldError, match=r"^mean: must have 2 entries, got 3"):
        fit_student_t_dof(rows, [0.0, 0.0, 0.0], np.eye(2))
