"""Numbers of a program's or server's output: one of them is the loss, or each is a limit state of a system."""

from __future__ import annotations

from collections.abc import Sequence

from raresim.arguments.checks import positive
from raresim.data.files import repeated
from raresim.errors import FieldError
from raresim.losses.system import System, least_of
from raresim.marginals.parameters import finite


class Limited:
    """A number of the output, which may have a limit of its own.

    A subclass is a dataclass with the fields ``name``, ``above``, ``below`` and ``scale``.
    """

    name: str | None
    above: float | None
    below: float | None
    scale: float

    def check_limit(self) -> None:
        """Raise `FieldError` if one of these fields is not allowed; the numbers become plain ones."""
        if self.name is not None and (not self.name or self.name != self.name.strip()):
            raise FieldError("name", f"must be a name without spaces around it, got {self.name!r}")
        if self.above is not None and self.below is not None:
            raise FieldError("below", "must be left out beside above: a number has one limit")
        for field in ("above", "below"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, finite(field, getattr(self, field)))
        object.__setattr__(self, "scale", positive("scale", self.scale))
        if self.scale != 1.0 and not self.has_limit:
            raise FieldError("scale", "goes with above or below: it is the unit of the distance beyond the limit")

    @property
    def has_limit(self) -> bool:
        """Whether the number has a limit: its value is then the distance beyond it, and the event is at least 0."""
        return self.above is not None or self.below is not None

    def beyond(self, value: float) -> float:
        """What a number counts as: itself, ``(value - above) / scale`` or ``(below - value) / scale``."""
        if self.above is not None:
            return (value - self.above) / self.scale
        return value if self.below is None else (self.below - value) / self.scale

    @property
    def limit_in_words(self) -> str:
        """The limit as a clause; empty without one."""
        if not self.has_limit:
            return ""
        side = f"at least {self.above:g}" if self.above is not None else f"at most {self.below:g}"
        return f"; it fails where that is {side}" + ("" if self.scale == 1.0 else f", in units of {self.scale:g}")


def check_outputs(outputs: Sequence[Limited], system: System) -> None:
    """Raise `FieldError` if ``outputs`` and ``system`` do not go together."""
    if not outputs:
        raise FieldError("output", "must say where the loss stands, got an empty list")
    if again := repeated(list(names_of(outputs))):
        raise FieldError("output", f"must have different names, got {again[0]!r} twice")
    own = [name for name, output in zip(names_of(outputs), outputs, strict=True) if output.has_limit]
    none = [name for name in names_of(outputs) if name not in own]
    if own and none:
        raise FieldError(
            "output",
            f"must all have a limit or none: {own[0]!r} has its own, {none[0]!r} has none; give the latter above or "
            "below too, and ask a measure for above: 0",
        )
    if len(outputs) == 1:
        if system != "any":
            raise FieldError("system", "goes with several outputs: it says how they are combined")
        return
    least = least_of(system, len(outputs))
    if least > len(outputs):
        raise FieldError("system", f"at_least must be at most the number of outputs, {len(outputs)}, got {least}")


def names_of(outputs: Sequence[Limited]) -> tuple[str, ...]:
    """The names of the limit states: those given, or ``g1``, ``g2``, ... by their places."""
    return tuple(output.name or f"g{k}" for k, output in enumerate(outputs, 1))
