"""A run as another thread sees it: the estimate so far, and the wish that it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from raresim.numerics.surroundings import usual_arithmetic

if TYPE_CHECKING:
    from raresim.losses.failures import Failures
    from raresim.run.found import Found
    from raresim.run.result import Result
    from raresim.run.sample import Progress

    Read = Callable[[Found, Progress, Failures], Result]


class Live:
    """What a run and its onlookers share; every method may be called from any thread.

    To look changes no digit. A run that is asked to stop ends as one whose seconds are up: what cannot be cut is
    finished (a search, the first rows of an estimate, the audit), and the chunk under way is not used. Whoever stops a
    run has seen its estimate, so its intervals are widened as for a further look.
    """

    def __init__(self) -> None:
        self._read: Read | None = None
        self._at: tuple[Found, Progress, Failures] | None = None
        self._wish = threading.Event()

    def begin(self, read: Read) -> None:
        """Take the function that reads a result from the state of an estimate."""
        self._read = read

    def keep(self, found: Found, progress: Progress, searching: Failures) -> None:
        """Record how far the estimate of a round is, and the rows that failed before it."""
        self._at = found, progress, searching

    def forget(self) -> None:
        """Record that the estimate so far is given up: another search begins."""
        self._at = None

    def stop(self) -> None:
        """Ask the run to end."""
        self._wish.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the run was asked to end."""
        return self._wish.is_set()

    def so_far(self) -> Result | None:
        """The result of the rows that are done, not audited yet; None during a search.

        Raises
        ------
        ArithmeticError, ValueError
            When the sums do not give a number yet.
        """
        read, at = self._read, self._at
        if read is None or at is None:
            return None
        with usual_arithmetic():
            return read(*at)
