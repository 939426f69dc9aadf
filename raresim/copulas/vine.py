"""A vine copula that was fitted with pyvinecopulib."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raresim.copulas.base import Copula
from raresim.copulas.summary import dependence_lines
from raresim.errors import DataError, FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.registry import member

PACKAGE = "pyvinecopulib"

CUT = 6.361340902404056
"""The value that a standard normal exceeds with probability 1e-10."""


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Vine(Copula):
    """Vine copula: pair copulas on the edges of nested trees, read from a file.

    Parameters
    ----------
    file : path
        JSON that ``Vinecop.to_file`` of pyvinecopulib wrote; all variables continuous.

    Raises
    ------
    FieldError
        When pyvinecopulib is not installed.
    DataError
        When the file cannot be read as a vine.

    Notes
    -----
    Scores are made by the inverse Rosenblatt transform of the latent normals' probabilities. pyvinecopulib trims the
    arguments of its pair copulas to 1e-10 from either end, and its results beyond are wrong by whole units (measured
    against closed forms of the Clayton and the Gaussian pair). So **latent normals and scores are both cut at 6.36**:
    an event that needs a marginal tail below 1e-10 cannot be reached with a vine.

    Kendall's tau and tail dependence are known for the pairs of the first tree, from their pair copulas; they are NaN
    for the other pairs, which have no closed form. A score rises in its own latent normal.

    Needs ``pip install raresim[vine]``.
    """

    kind: ClassVar[str] = "vine"

    file: Path

    dim: int = field(init=False, repr=False)
    text: str = field(init=False, repr=False)
    """Content of the file, which goes along when the copula is sent to another machine."""

    def __post_init__(self) -> None:
        _library()
        try:
            text = Path(self.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.file}: cannot be read: {error}") from None
        object.__setattr__(self, "text", text)
        vine = self._vine
        if any(kind != "c" for kind in vine.var_types):
            raise DataError(f"{self.file}: all variables of the vine must be continuous, got types {vine.var_types}")
        object.__setattr__(self, "dim", int(vine.dim))

    @cached_property
    def _vine(self) -> Any:
        """The pyvinecopulib object, made once by each process."""
        try:
            return _library().Vinecop.from_json(self.text)
        except (RuntimeError, ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DataError(f"{self.file}: not a vine of pyvinecopulib: {reason}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_vine"}

    @property
    def latent_dim(self) -> int:
        return self.dim

    def scores(self, u: Float, v: Float) -> None:
        from scipy import special

        p = arrays.scratch("vine", *u.shape)
        np.clip(u, -CUT, CUT, out=p)
        special.ndtr(p, out=p)
        special.ndtri(self._vine.inverse_rosenblatt(p, num_threads=1), out=v)
        np.clip(v, -CUT, CUT, out=v)

    def logpdf(self, v: Float, out: Float) -> None:
        from scipy import special

        out[:] = self._vine.logpdf(np.asfortranarray(special.ndtr(np.clip(v, -CUT, CUT))), num_threads=1)

    def tail_dependence(self) -> tuple[Float, Float]:
        lower, upper = self._unknown(), self._unknown()
        for i, j, pair in self._first_tree():
            tails = pair.taildep
            lower[i, j] = lower[j, i] = tails[0, 0]
            upper[i, j] = upper[j, i] = tails[1, 1]
        return lower, upper

    def kendall(self) -> Float:
        tau = self._unknown()
        for i, j, pair in self._first_tree():
            tau[i, j] = tau[j, i] = pair.tau
        return tau

    def _unknown(self) -> Float:
        matrix = np.full((self.dim, self.dim), np.nan)
        np.fill_diagonal(matrix, 1.0)
        return matrix

    def _first_tree(self) -> list[tuple[int, int, Any]]:
        """The pairs of the first tree, each with its pair copula, which is the copula of the pair itself."""
        vine = self._vine
        if vine.trunc_lvl == 0:
            return []
        first = vine.get_struct_array()[0]
        return [
            (int(one) - 1, int(other) - 1, vine.get_pair_copula(0, edge))
            for edge, (one, other) in enumerate(zip(vine.order, first, strict=False))
        ]

    def describe(self) -> list[str]:
        vine = self._vine
        families = sorted({str(pair.family).rpartition(".")[2] for tree in vine.pair_copulas for pair in tree})
        head = f"vine copula of {self.dim}, pair copulas {', '.join(families)}, from {Path(self.file).name}"
        return [
            head,
            "latent normals and scores are cut at 6.36: marginal tails below 1e-10 cannot be reached",
            *dependence_lines(self),
        ]

    @staticmethod
    def examples() -> list[Vine]:
        """Members for the conformance tests; none without pyvinecopulib."""
        if importlib.util.find_spec(PACKAGE) is None:
            return []
        return [Vine(file=_example_file())]


@functools.cache
def _example_file() -> Path:
    """A file that exists as long as this process."""
    import pyvinecopulib as pv

    clayton = pv.Bicop.from_family(pv.BicopFamily.clayton, parameters=np.array([[1.5]]))
    student = pv.Bicop.from_family(pv.BicopFamily.student, parameters=np.array([[0.5], [5.0]]))
    frank = pv.Bicop.from_family(pv.BicopFamily.frank, parameters=np.array([[2.0]]))
    vine = pv.Vinecop.from_structure(structure=pv.DVineStructure([2, 1, 3]), pair_copulas=[[clayton, student], [frank]])
    folder = tempfile.mkdtemp(prefix="raresim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "vine.json"
    vine.to_file(str(path))
    return path


def _library() -> Any:
    try:
        import pyvinecopulib
    except ImportError:
        raise FieldError("kind", "vine needs pyvinecopulib: pip install raresim[vine]") from None
    return pyvinecopulib
