"""Numbers as text, the same in the shell and on the page. ASCII only; a missing number is ``n/a``."""

from __future__ import annotations

import math
from typing import TypeGuard

from raresim.record.records import Estimate

__all__ = [
    "amount",
    "answer",
    "confidence",
    "count",
    "draws",
    "duration",
    "in_brackets",
    "interval",
    "is_known",
    "multiple",
    "number",
    "number_of_log",
    "one_in",
    "percent",
    "unit_of",
    "value",
]

MISSING = "n/a"


def in_brackets(unit: str) -> str:
    """`` (USD)`` for an axis; empty without a unit, or for the loss if the user gave its unit no name."""
    return "" if unit in ("", "dimensionless", "loss") else f" ({unit})"


def unit_of(estimate: Estimate) -> str:
    """``USD``; empty for a probability, or for a loss if the user gave its unit no name."""
    return in_brackets(estimate.unit)[2:-1]


def number(x: float | None, digits: int = 4) -> str:
    """``x`` to ``digits`` significant digits: ``2.867e-07``, ``0.0597``, ``12.35``, ``1,234,568``."""
    if x is None or math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    if x == 0:
        return "0"
    if not _is_plain(x):
        return f"{x:.{digits - 1}e}"
    text = f"{x:,.{_decimals(x, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number_of_log(log_x: float | None, digits: int = 4) -> str:
    """``exp(log_x)`` as `number` writes it, also where it is too small or too large for a double."""
    if not is_known(log_x) or abs(log_x) < 700:
        return number(log_x if not is_known(log_x) else math.exp(log_x), digits)
    exponent = math.floor(log_x / math.log(10))
    mantissa = f"{math.exp(log_x - exponent * math.log(10)):.{digits - 1}f}"
    if mantissa.startswith("10"):
        exponent, mantissa = exponent + 1, f"{1:.{digits - 1}f}"
    return f"{mantissa}e{exponent:+03d}"


def interval(lower: float | None, upper: float | None) -> str:
    """``[2.810e-07, 2.920e-07]``, with enough digits to tell the ends apart."""
    return f"[{value(lower, lower, upper)}, {value(upper, lower, upper)}]"


def value(x: float | None, lower: float | None, upper: float | None) -> str:
    """An estimate with as many digits as its interval."""
    if not is_known(x) or not is_known(lower) or not is_known(upper):
        return number(x)
    digits, largest = digits_of(lower, upper), max(abs(lower), abs(upper))
    if x == 0 or not _is_plain(largest) or not _is_plain(x):
        return number(x, digits)
    return f"{x:,.{_decimals(largest, digits)}f}"


def answer(estimate: Estimate, at_most: str = "<= ") -> str:
    """The value of an estimate, or its upper limit after ``at_most`` where only that is known."""
    if estimate.is_bound and is_known(estimate.upper):
        return f"{at_most}{number(estimate.upper)}"
    if estimate.is_below_doubles:
        return number_of_log(estimate.log_value)
    return value(estimate.value, estimate.lower, estimate.upper)


def digits_of(lower: float, upper: float) -> int:
    """Significant digits at which ``upper - lower`` shows two digits; at least 4, at most 12."""
    largest = max(abs(lower), abs(upper))
    width = abs(upper - lower)
    if width == 0 or largest == 0:
        return 4
    return min(12, max(4, 2 + math.floor(math.log10(largest)) - math.floor(math.log10(width))))


def confidence(estimate: Estimate) -> str:
    """The confidence of an interval, called nominal if it does not hold; empty without an interval."""
    if not math.isfinite(estimate.confidence):
        return ""
    return f"{'' if estimate.holds_confidence else 'nominal '}{percent(estimate.confidence)}"


def percent(x: float | None) -> str:
    """``0.0098`` as ``0.98 %``; shares close to one keep the digits that differ from it: ``99.99 %``."""
    if not is_known(x):
        return number(x)
    if 0.9 < x < 1:
        decimals = max(0, 1 - math.floor(math.log10(1 - x) + 1e-9) - 2)
        text = f"{100 * x:.{decimals}f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
    return f"{100 * x:.3g} %"


def count(n: float | None) -> str:
    """A whole number with separators: ``1,000,000``."""
    if not is_known(n):
        return number(n)
    return f"{round(n):,}" if abs(n) < 1e12 else number(n)


def multiple(x: float | None) -> str:
    """A factor to three digits, for *x times fewer*: ``2.5``, ``348,000``."""
    if not is_known(x) or x == 0:
        return number(x)
    if not _is_plain(x, 1e9):
        return f"{x:.1e}"
    rounded = round(x, 2 - math.floor(math.log10(abs(x))))
    return number(rounded, 9) if abs(rounded) >= 100 else number(rounded, 3)


def one_in(probability: float | None) -> str:
    """A probability as odds: ``1 in 9,090``."""
    if probability is None or not 1e-300 < probability <= 1:
        return MISSING
    return f"1 in {multiple(1 / probability)}"


def amount(information: float | None) -> str:
    """Nats or bits, to the second decimal: ``21.73``, ``1,017.23``."""
    return f"{round(information, 2) + 0.0:,.2f}" if is_known(information) else number(information)


def draws(stored: float | None, nats: float | None) -> str:
    """The number of draws that ``nats`` stand for: as stored, or from ``nats`` if it overflows a double."""
    return multiple(stored) if is_known(stored) else number_of_log(nats, 2)


def duration(seconds: float | None) -> str:
    """``0.42 s``, ``12.3 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if not is_known(seconds):
        return number(seconds)
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def is_known(x: float | None) -> TypeGuard[float]:
    """Whether a stored number is there and finite."""
    return x is not None and math.isfinite(x)


def _is_plain(x: float, largest: float = 1e9) -> bool:
    """Whether ``x`` reads better without an exponent."""
    return 1e-3 <= abs(x) < largest


def _decimals(x: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(x))))
