"""Records as JSON and back, and what is said where the JSON is not theirs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import pytest

from raresim.errors import ConfigError
from raresim.record.codec import Infinite, Stored, Vanishing, all_visible, plain, read


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    name: str
    cells: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True)
class Outer:
    number: float
    endless: Infinite
    log: Vanishing
    maybe: float | None
    count: int
    flag: bool
    colour: Colour
    side: Literal["above", "below"]
    pair: tuple[float, float]
    inner: tuple[Inner, ...]
    free: Mapping[str, Any]
    start: int | str = 0


WHOLE = Outer(
    1.5,
    2.0,
    -3.0,
    None,
    7,
    True,
    Colour.RED,
    "below",
    (0.0, 1.0),
    (Inner("a", (("x", 2, None), ("y", 0.5, 1.0))),),
    {"list": [1, None, {"deep": "text"}]},
    "pooled",
)


def test_a_record_comes_back():
    assert read(Outer, Stored("r", plain(WHOLE))) == WHOLE


def test_what_is_not_finite_comes_back_as_its_field_says():
    lost = Outer(math.nan, math.inf, -math.inf, None, 1, False, Colour.RED, "above", (math.nan, 0.0), (), {})
    stored = plain(lost)
    assert [stored[name] for name in ("number", "endless", "log", "maybe")] == [None] * 4
    back = read(Outer, Stored("r", stored))
    assert math.isnan(back.number)
    assert (back.endless, back.log, back.maybe) == (math.inf, -math.inf, None)


def test_numbers_of_numpy_become_plain_ones():
    assert plain({"i": np.int64(3), "f": np.float64(0.5), "n": np.float64("nan")}) == {"i": 3, "f": 0.5, "n": None}
    with pytest.raises(TypeError, match="cannot be stored"):
        plain({"x": object()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": "1"}, "r.number: must be a number or null, got '1'"),
        ({"number": True}, "r.number: must be a number or null, got True"),
        ({"endless": 10**400}, "r.endless: must be a number that fits a double, got 1000"),
        ({"count": 1.5}, "r.count: must be a whole number, got 1.5"),
        ({"count": None}, "r.count: must be a whole number, got None"),
        ({"flag": 1}, "r.flag: must be true or false, got 1"),
        ({"colour": "blue"}, "r.colour: must be one of red, got 'blue'"),
        ({"side": "left"}, "r.side: must be one of above, below, got 'left'"),
        ({"pair": [1.0]}, r"r.pair: must be a list of 2, got [1.0]"),
        ({"inner": {}}, "r.inner: must be a list, got {}"),
        ({"inner": [3]}, "r.inner[0]: must be an object, got 3"),
        ({"inner": [{"name": "a", "cells": [[True]]}]}, "r.inner[0].cells[0][0]: must be a text, a number or null"),
        ({"start": 1.5}, "r.start: must be a whole number, got 1.5"),
        ({"start": [1]}, "r.start: must be a text or a number, got [1]"),
        ({"free": []}, "r.free: must be an object, got []"),
    ],
)
def test_a_wrong_entry_is_located(changes, message):
    with pytest.raises(ConfigError) as caught:
        read(Outer, Stored("r", plain(WHOLE) | changes))
    assert str(caught.value).startswith(message)


def test_an_entry_that_is_not_there_is_missing_or_has_its_default():
    stored = plain(WHOLE)
    del stored["start"], stored["free"]
    assert read(Outer, Stored("r", stored)).start == 0
    assert read(Outer, Stored("r", stored)).free == {}
    del stored["number"]
    with pytest.raises(ConfigError, match=r"r\.number: missing"):
        read(Outer, Stored("r", stored))


def test_no_text_keeps_what_commands_a_terminal():
    assert all_visible({"\x1b[2J": ["\u202e", 1]}) == {"\ufffd[2J": ["\ufffd", 1]}
