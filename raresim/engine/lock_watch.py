"""Whether threads wait for each other: Python code holds the interpreter lock, compiled code mostly does not."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ENOUGH = 3.0
"""Seconds that threads compute before it is decided: about what starting processes takes, so that a wrong choice costs
at most twice the right one."""

PROBES, HELD = 30, 0.5
"""Fewest probes that a decision is made on, and the share of them that must have waited for the lock."""

PAUSE, BRIEF = 0.02, 0.0002
"""Seconds between two probes, and seconds that a probe sleeps; the lock is needed to wake up."""


class LockWatch:
    """Probes the interpreter lock while others compute.

    A probe sleeps for an instant and looks how much later it wakes up. Where Python code holds the lock, the probe
    waits for `sys.getswitchinterval` at least; where the lock is free it wakes at once.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._probes = self._waited = 0

    @property
    def is_held(self) -> bool:
        """Whether it is known by now that the lock is held most of the time."""
        known = self.seconds >= ENOUGH and self._probes >= PROBES
        return known and self._waited >= HELD * self._probes

    @property
    def share(self) -> float:
        """The share of probes that waited; 0 before the first."""
        return self._waited / self._probes if self._probes else 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Probe within this context, on a thread of its own."""
        done = threading.Event()
        thread = threading.Thread(target=self._probe, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _probe(self, done: threading.Event) -> None:
        late = 0.6 * sys.getswitchinterval()
        before = time.perf_counter()
        while not done.wait(PAUSE):
            asleep = time.perf_counter()
            time.sleep(BRIEF)
            awake = time.perf_counter()
            self._probes += 1
            self._waited += awake - asleep - BRIEF > late
            self.seconds += awake - before
            before = awake
