"""What to write instead of a number in another form."""

import pytest

from raresim import PythonLoss, Stop, ValueAtRisk
from raresim.arguments.numerals import advice, as_share, count, number
from raresim.arguments.synonyms import SYNONYMS, meant
from raresim.config.keys import json_schema
from raresim.errors import FieldError
from raresim.registry import FAMILIES, members

WRITTEN = {
    "99.9%": "0.999",
    "99.9 %": "0.999",
    "5 per cent": "0.05",
    "25bp": "0.0025",
    "100k": "100000",
    "1.5m": "1500000",
    "2bn": "2000000000",
    "1_000": "1000",
    "1_000_000.5": "1000000.5",
    "1'000": "1000",
    "1,000": "1000, or 1.000 where the comma is a decimal point",
    "1,000,000": "1000000",
    "0,05": "0.05",
    "-3%": "-0.03",
    "1e6": "1e6 without quotes",
    " 5 ": "5 without quotes",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_18_14_a_number_in_another_form_is_written_as_it_is_read(text):
    assert advice(text) == f"; write {WRITTEN[text]}"
    value = float(WRITTEN[text].split()[0].rstrip(","))
    assert number(WRITTEN[text].split()[0].rstrip(",")) == value


@pytest.mark.parametrize(
    "given", ["", "x", "5 sigma", "1.2.3", "12:30", "2020-01-01", "k", "%", "9" * 50, 5, None, [1]]
)
def test_18_14_what_is_no_number_is_given_no_advice(given):
    assert advice(given) == ""


def test_18_13_counts_are_whole_numbers_in_any_form_that_a_config_takes():
    assert [count(text) for text in ("1e6", "1000000", "1.0", "1.5e1", "-3")] == [1_000_000, 1_000_000, 1, 15, -3]
    assert [count(text) for text in ("1.5", "1_000", "k", "", "1e-3", "nan", "inf", "0x10")] == [None] * 8


def test_18_14_a_share_in_per_cent_is_recognised():
    assert as_share(97.5) == "; for 97.5 % write 0.975"
    assert as_share(0.5) == as_share(1.0) == as_share(100.0) == as_share(-3.0) == ""


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ValueAtRisk(level="99.9%"),
            "level: must be a number, a list of numbers or None, got the text '99.9%'; write 0.999",
        ),
        (lambda: ValueAtRisk(tail=[0.1, "1%"]), "tail: entry 1 must be a number, got the text '1%'; write 0.01"),
        (lambda: Stop(relative_error="1%"), "relative_error: must be a number or None, got the text '1%'; write 0.01"),
        (
            lambda: Stop(max_evaluations="100k"),
            "max_evaluations: must be a whole number, got the text '100k'; write 100000",
        ),
        (lambda: PythonLoss(function=len, timeout="5 s"), "timeout: must be a number or None, got the text '5 s'"),
    ],
)
def test_18_14_texts_are_refused_in_python_as_in_yaml(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert str(caught.value) == message


def test_18_14_every_name_with_synonyms_is_one_of_raresims():
    """If a name changes, its synonyms must change too, or they never apply."""
    schema = str(json_schema())
    kinds = {kind for family in FAMILIES for kind in members(family)}
    assert not [name for name in SYNONYMS if name not in kinds and f"'{name}'" not in schema]


def test_18_14_a_synonym_counts_only_where_its_name_is_allowed():
    assert meant("Covariance Matrix", ["mean", "cov"]) == ["cov"]
    assert meant("covariance", ["mean", "dim"]) == []
