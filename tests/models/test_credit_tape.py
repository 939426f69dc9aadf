"""Tapes: what is understood, and what is refused with its place."""

import subprocess
import sys

import numpy as np
import pytest

from raresim.errors import DataError, FieldError
from raresim.models import Credit
from raresim.models.obligors.dependence import Loading
from tests.helpers import ROOT

TAPES = ROOT / "configs" / "credit"

PLAIN = "id,ead,pd,lgd,rho\na,100,0.01,0.45,0.2\nb,200,0.02,0.45,0.1\n"


def tape(folder, text):
    path = folder / "tape.csv"
    path.write_text(text)
    return path


@pytest.fixture
def model(tmp_path):
    return lambda text, **options: Credit(tape=tape(tmp_path, text), **options)


def test_columns_are_read(model):
    read = model(PLAIN)
    assert read.obligors.ids == ("a", "b")
    np.testing.assert_array_equal(read.obligors.ead, [100.0, 200.0])
    np.testing.assert_allclose(read.obligors.expected_loss, 0.45 + 1.8)
    np.testing.assert_allclose(read.dependence.loadings[:, 0] ** 2, [0.2, 0.1])
    assert read.notes() == []


def test_other_names_are_understood_and_said(model):
    read = model("Obligor,Exposure at Default,PD,LGD,R2\na,100,0.01,0.45,0.2\n")
    assert read.obligors.ids == ("a",)
    assert read.notes() == [
        "column Obligor of tape.csv is read as id",
        "column Exposure at Default of tape.csv is read as ead",
        "column PD of tape.csv is read as pd",
        "column LGD of tape.csv is read as lgd",
        "column R2 of tape.csv is read as rho",
    ]


def test_columns_can_be_mapped(model):
    text = PLAIN.replace("id,ead", "who,owed")
    read = model(text, columns={"id": "who", "ead": "owed"})
    np.testing.assert_array_equal(read.obligors.ead, [100.0, 200.0])
    assert read.notes() == []


def test_a_data_frame_is_a_tape():
    class Frame(dict):
        columns = property(list)

    read = Credit(tape=Frame(id=["a"], ead=[1.0], pd=[0.5]), lgd=1.0, rho=0.0)
    assert read.obligors.expected_loss == 0.5
    assert read.files() == []


def test_a_tape_of_gcpm_is_known_by_its_header(model):
    text = "Number,Name,Business,Country,EAD,LGD,PD,Default,A,B\n1,x,u,DE,100,0.45,0.01,Bernoulli,0.3,0.4\n"
    read = model(text)
    assert read.inputs.factors == ("A", "B")
    np.testing.assert_allclose(read.dependence.common_share, [0.25])
    assert read.notes()[0] == "tape.csv is a tape of GCPM: A, B are loadings R, not R^2"
    assert read.loss.component_groups("Country") == ("DE",)
    correlated = model(text, between_sectors=0.5)
    np.testing.assert_allclose(correlated.dependence.common_share, [0.25 + 2 * 0.5 * 0.12])
    with pytest.raises(DataError, match=r"tape.csv:2:Default: must be Bernoulli: Poisson defaults"):
        model(text.replace("Bernoulli", "Poisson"))


def test_loadings_go_by_the_values_of_a_column(model):
    text = "id,ead,pd,lgd,loading_all,loading_sector,sector\na,1,0.1,1,0.5,0.3,x\nb,1,0.1,1,0.4,0.2,y\n"
    read = model(text)
    assert read.inputs.factors == ("all", "x", "y")
    np.testing.assert_array_equal(read.dependence.loadings, [[0.5, 0.3, 0.0], [0.4, 0.0, 0.2]])
    assert read.notes() == ["columns of loadings: loading_all, loading_sector (by sector)"]
    named = model(text, loadings=["loading_all", Loading(column="loading_sector", by="sector")])
    np.testing.assert_array_equal(named.dependence.loadings, read.dependence.loadings)


def test_sectors_are_correlated_factors(model, tmp_path):
    text = PLAIN.replace("rho\n", "rho,sector\n").replace("0.2\n", "0.2,x\n").replace("0.1\n", "0.1,y\n")
    matrix = tmp_path / "sectors.csv"
    matrix.write_text(",y,x\ny,1,0.3\nx,0.3,1\n")
    by_file, by_number = model(text, sector_correlation=matrix), model(text, between_sectors=0.3)
    assert by_file.inputs.factors == ("y", "x")
    assert by_number.inputs.factors == ("x", "y")
    for read in (by_file, by_number):
        np.testing.assert_allclose(read.dependence.common_share, [0.2, 0.1])
        np.testing.assert_allclose(read.inputs.root @ read.inputs.root.T, [[1.0, 0.3], [0.3, 1.0]])
    assert by_file.files() == [by_file.tape, matrix]
    matrix.write_text(",y,x\ny,1,2\nx,2,1\n")
    with pytest.raises(DataError, match=r"sectors.csv:2:x: must be between -1 and 1, got 2"):
        model(text, sector_correlation=matrix)
    matrix.write_text(",y,z\ny,1,0\nz,0,1\n")
    with pytest.raises(DataError, match=r"tape.csv:2:sector: unknown sector 'x' \(allowed: y, z\)"):
        model(text, sector_correlation=matrix)


CELLS = {
    "pd above one": (
        "0.01",
        "1.5",
        "2:pd: must be between 0 and 1, got 1.5; is the column in per cent? Divide",
    ),
    "pd below zero": ("0.01", "-0.1", "2:pd: must be between 0 and 1, got -0.1"),
    "pd with a sign": ("0.01", "1%", "2:pd: must be a finite number with a decimal point, got '1%'"),
    "negative exposure": ("100", "-1", "2:ead: must be at least 0, got -1"),
    "missing exposure": ("100", "", "2:ead: is missing; every obligor needs one"),
    "lgd above one": ("0.01,0.45", "0.01,45", "2:lgd: must be between 0 and 1, got 45; is the column in per cent?"),
    "lgd below zero": ("0.01,0.45", "0.01,-0.45", "2:lgd: must be between 0 and 1, got -0.45"),
    "missing pd": ("0.01,0.45", ",0.45", "2:pd: is missing; every obligor needs one"),
    "missing rho": (",0.2\n", ",\n", "2:rho: is missing; every obligor needs one"),
    "too few cells": (",0.45,0.1\n", "\n", "3: has 3 cells, must have 5 as the header does"),
    "same id": ("b,200", "a,200", "3:id: 'a' is in row 2 already; keep one row for each"),
    "missing id": ("b,200", ",200", "3:id: is missing; every obligor needs one of its own"),
    "rho of one": (",0.2\n", ",1\n", "2:rho: must be at least 0 and below 1, got 1; is the column in per cent?"),
    "negative rho": (",0.2\n", ",-0.2\n", "2:rho: must be at least 0 and below 1, got -0.2"),
    "no exposure": ("a,100,0.01,0.45,0.2\nb,200", "a,0,0.01,0.45,0.2\nb,0", "every exposure is 0; at least one"),
    "no pd": (
        "pd",
        "chance",
        "1: a column pd is required, got id, ead, chance, lgd, rho; rename it, or",
    ),
    "no dependence": (",rho", ",country", "nothing says how obligors depend on each other: a column rho"),
    "two ids": (
        "id,ead,pd,lgd,rho",
        "name,ead,pd,lgd,obligor",
        "1: the columns obligor, name could each be id",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), CELLS.values(), ids=CELLS)
def test_a_wrong_cell_is_refused_with_its_place(model, old, new, message):
    assert PLAIN.count(old) >= 1
    with pytest.raises(DataError) as caught:
        model(PLAIN.replace(old, new, 1))
    assert f"tape.csv:{message}" in str(caught.value).replace("tape.csv: ", "tape.csv:")


IN_SECTORS = "id,ead,pd,lgd,rho,sector\na,1,0.1,1,0.2,x\nb,1,0.1,1,0.1,y\nc,1,0.1,1,0.1,z\n"

MATRICES = {
    "not symmetric": (
        ",x,y,z\nx,1,0.3,0\ny,0.2,1,0\nz,0,0,1\n",
        "sectors.csv:3:x: must be as in row 2, column y: got 0.2 here and 0.3 there",
    ),
    "diagonal": (",x,y,z\nx,1,0,0\ny,0,0.9,0\nz,0,0,1\n", "sectors.csv:3:y: must be 1 on the diagonal, got 0.9"),
    "too large": (",x,y,z\nx,1,0,0\ny,0,1,-7\nz,0,-7,1\n", "sectors.csv:3:z: must be between -1 and 1, got -7"),
    "empty": (",x,y,z\nx,1,0,0\ny,0,1,\nz,0,0,1\n", "sectors.csv:3:z: must be a finite number with"),
    "no row": (",x,y,z\nx,1,0,0\ny,0,1,0\n", "sectors.csv: has a column for 'z' but no row"),
    "twice": (",x,y,z\nx,1,0,0\nx,1,0,0\nz,0,0,1\n", "sectors.csv:3:first column: 'x' has a row already"),
    "indefinite": (
        ",x,y,z\nx,1,0.9,-0.9\ny,0.9,1,0.9\nz,-0.9,0.9,1\n",
        "sectors.csv: is no correlation matrix: it must be positive definite, got one with the smallest eigenvalue",
    ),
}


@pytest.mark.parametrize(("text", "message"), MATRICES.values(), ids=MATRICES)
def test_a_sector_correlation_that_is_none_is_refused_with_its_place(model, tmp_path, text, message):
    matrix = tmp_path / "sectors.csv"
    matrix.write_text(text)
    with pytest.raises(DataError) as caught:
        model(IN_SECTORS, sector_correlation=matrix)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("between", "message"),
    [
        (-0.5, "must be more than -1/2 and less than 1 for 3 sectors to have it as the correlation of all pairs, got"),
        (40.0, "must be more than -1/2 and less than 1 for 3 sectors .*; is it in per cent\\?"),
        (float("nan"), "must be more than -1/2 .*, got nan"),
    ],
)
def test_one_correlation_of_all_sectors_has_a_range(model, between, message):
    with pytest.raises(FieldError, match=f"^between_sectors: {message}"):
        model(IN_SECTORS, between_sectors=between)
    assert model(IN_SECTORS, between_sectors=-0.49).dependence.correlation[0, 2] == -0.49


def test_a_tape_can_be_parquet(tmp_path, model):
    """Every digit as in CSV; a wrong cell is named by its row and column."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"id": ["a", "b"], "ead": [1e6 / 3, 2e5], "pd": [0.01, 0.02], "lgd": [0.45, 0.4], "rho": [0.2, 0.1]}
    parquet.write_table(arrow.table(columns | {"sector": ["x", "y"]}), tmp_path / "tape.parquet")
    read = Credit(tape=tmp_path / "tape.parquet")
    assert read.obligors.ids == ("a", "b")
    np.testing.assert_array_equal(read.obligors.ead, columns["ead"])
    assert read.loss.component_groups("sector") == ("x", "y")
    assert read.files() == [tmp_path / "tape.parquet"]
    parquet.write_table(arrow.table(columns | {"pd": [0.01, 2.0]}), tmp_path / "tape.parquet")
    with pytest.raises(
        DataError, match=r"tape.parquet:\d:pd: must be between 0 and 1, got 2.0; is the column in per cent"
    ):
        Credit(tape=tmp_path / "tape.parquet")
    parquet.write_table(arrow.table(columns | {"ead": [1.0, None]}), tmp_path / "tape.parquet")
    with pytest.raises(DataError, match=r"tape.parquet:\d:ead: is missing; every obligor needs one"):
        Credit(tape=tmp_path / "tape.parquet")


def test_a_beta_law_needs_a_small_enough_standard_deviation(model):
    text = "id,ead,pd,lgd_mean,lgd_std,rho\na,1,0.1,0.5,0.2,0.1\nb,1,0.1,0.9,0.3,0.1\n"
    with pytest.raises(DataError, match=r"tape.csv:3:lgd_std: must be below sqrt\(m \(1 - m\)\) = 0.3 for a beta law"):
        model(text)


def test_squared_loadings_are_below_one(model):
    text = "id,ead,pd,lgd,x,y\na,1,0.1,0.5,0.8,0.6\nb,1,0.1,0.5,0.3,0.3\n"
    with pytest.raises(DataError, match=r"tape.csv:2:x: the squared loadings of 'a' add up to 1, which must"):
        model(text, loadings=["x", "y"])


def test_up_to_twenty_problems_are_told(model):
    rows = "".join(f"n{k},1,7,0.5,0.1\n" for k in range(50))
    with pytest.raises(DataError) as caught:
        model("id,ead,pd,lgd,rho\n" + rows)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[19].startswith("tape.csv:21:pd:")


OPTIONS = {
    "unknown name": ({"columns": {"eda": "ead"}}, "columns: unknown name 'eda'; did you mean 'ead'?"),
    "unknown column": ({"columns": {"ead": "x"}}, "columns: unknown column of tape.csv 'x'"),
    "lgd twice": ({"lgd": 0.4}, "lgd: must be left out: tape.csv has the column lgd"),
    "rho twice": ({"rho": 0.4}, "rho: must be left out: tape.csv has the column rho"),
    "no loadings": ({"factors": "loadings"}, "loadings: must name columns of tape.csv: none begins with loading_"),
    "unknown loading": ({"loadings": ["x"]}, "loadings: unknown column of tape.csv 'x'"),
    "no sector": ({"factors": "sector"}, "columns: tape.csv has no column sector"),
    "no dof": ({"copula": "t"}, "dof: is required where copula is t"),
    "dof of a normal": ({"dof": 4.0}, "dof: must be left out where copula is gaussian: it belongs to copula t"),
    "rho of 1": ({"rho": 1.0}, "rho: must be at least 0 and below 1, got 1"),
    "two correlations": (
        {"between_sectors": 0.1, "sector_correlation": "x.csv"},
        "between_sectors: must be left out where sector_correlation gives the whole matrix",
    ),
    "no kind of factors": ({"factors": "rhos"}, "factors: unknown value 'rhos'; did you mean 'rho'?"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_do_not_go_together_are_refused(model, options, message):
    with pytest.raises(FieldError) as caught:
        model(PLAIN, **options)
    assert str(caught.value).startswith(message)


def test_rho_and_loadings_together_are_refused(model):
    text = "id,ead,pd,lgd,rho,loading_x\na,100,0.01,0.45,0.2,0.1\n"
    with pytest.raises(DataError, match=r"rho and loadings are both given \(rho; loading_x\): say which is meant by"):
        model(text)
    assert model(text, factors="rho").inputs.factors == ("common",)
    assert model(text, factors="loadings").inputs.factors == ("x",)


def test_contributions_go_by_any_further_column(model):
    loss = model("id,ead,pd,lgd,rho,rating\na,1,0.1,1,0.1,BB\nb,1,0.1,1,0.1,\n").loss
    with pytest.raises(DataError, match=r"tape.csv:3:rating: is missing, got ''; every obligor needs a group"):
        loss.component_groups("rating")
    with pytest.raises(FieldError, match=r"^by: unknown column of tape.csv 'ratings'; did you mean 'rating'\?"):
        loss.component_groups("ratings")


def test_tapes_of_the_configs_are_those_of_their_script(tmp_path):
    """``configs/credit/tapes.py`` writes them, byte for byte."""
    done = subprocess.run([sys.executable, str(TAPES / "tapes.py"), str(tmp_path)], check=False)
    assert done.returncode == 0
    for name in ("tape.csv", "glasserman_li_21.csv", "rated.csv", "transitions.csv"):
        assert (tmp_path / name).read_bytes() == (TAPES / name).read_bytes()
