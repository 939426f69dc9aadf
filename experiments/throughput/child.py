"""One run of the job in a process of its own; prints one number.

``python child.py memory DRAWS WORKERS``: peak memory of raresim in MB.
``python child.py whole DRAWS SEED``: nanoseconds a draw of the whole-array version, the first call in its process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from portfolio import experiment, nanoseconds
from rivals import whole_array
from threadpoolctl import threadpool_limits

from raresim import Executor


def peak_memory(draws: int, workers: int) -> float:
    """Peak resident memory in MB after a run.

    Linux keeps ``ru_maxrss`` of the parent in a process that was forked from it, so the kernel's own account is read.
    """
    with Executor.of("threads", workers) as executor:
        experiment(draws, seed=1).run(executor)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Run and print."""
    what, draws, option = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with threadpool_limits(1):
        print(peak_memory(draws, option) if what == "memory" else nanoseconds(whole_array, draws, option))


if __name__ == "__main__":
    main()
