"""Numbers written in a form that is not read, such as ``99.9%``, and what to write instead."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["advice", "as_share", "count", "number"]

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?"
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*(%|pct|percent|per cent|bps?|[kmb]|mn|bn)?", re.IGNORECASE)
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}([_,' ])[0-9]{3}(\1[0-9]{3})*(\.[0-9]+)?|[-+]?[0-9]+(_[0-9]+)+(\.[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
_SCALES = {
    **dict.fromkeys(("%", "pct", "percent", "per cent"), Decimal("0.01")),
    **dict.fromkeys(("bp", "bps"), Decimal("0.0001")),
    "k": Decimal(1000),
    **dict.fromkeys(("m", "mn"), Decimal(10**6)),
    **dict.fromkeys(("b", "bn"), Decimal(10**9)),
    "": Decimal(1),
}
LONGEST = 40
"""Most characters of a text that may be a number."""


def advice(given: object) -> str:
    """``"; write 0.999"`` for the text ``"99.9%"``: the end of a message; empty where no number is meant."""
    meant = _meant(given.strip()) if isinstance(given, str) and len(given) <= LONGEST else None
    if meant is None:
        return ""
    quoted = " without quotes" if isinstance(given, str) and re.fullmatch(_NUMBER, given.strip()) else ""
    return f"; write {meant}{quoted}"


def as_share(value: float) -> str:
    """``"; for 95 % write 0.95"`` where a share between 0 and 1 is wanted and ``value`` may be one in per cent."""
    return f"; for {value:.15g} % write {_plain(Decimal(repr(float(value))) / 100)}" if 1 < value < 100 else ""


def number(text: str) -> float | None:
    """The number that a config reads from ``text``; None where ``text`` is not a number."""
    return float(text) if len(text) <= LONGEST and re.fullmatch(_NUMBER, text.strip()) else None


def count(text: str) -> int | None:
    """The whole number that a config reads from ``text``, such as ``1000000`` or ``1e6``; None where it is not one."""
    value = Decimal(text.strip()) if number(text) is not None else Decimal("0.5")
    return int(value) if value == value.to_integral_value() else None


def _meant(text: str) -> str | None:
    if _GROUPED.fullmatch(text):
        grouped = _plain(Decimal(re.sub(r"[_,' ]", "", text)))
        if not _DECIMAL_COMMA.fullmatch(text):
            return grouped
        if not text.lstrip("+-").startswith("0"):
            return f"{grouped}, or {text.replace(',', '.')} where the comma is a decimal point"
    if _DECIMAL_COMMA.fullmatch(text):
        return _plain(Decimal(text.replace(",", ".")))
    found = _WITH_UNIT.fullmatch(text)
    if found is None:
        return None
    if not found[2]:
        return found[1]
    return _plain(Decimal(found[1]) * _SCALES[found[2].lower()])


def _plain(value: Decimal) -> str:
    """``value`` as digits without an exponent where these are few."""
    text = f"{value.normalize():f}"
    return text if len(text) <= LONGEST else str(value.normalize())
