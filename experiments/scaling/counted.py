"""The mean of the factors, as a loss that counts its calls in its own folder and kills its process at a planned one."""

import os
import signal
from pathlib import Path

FOLDER = Path(__file__).parent


def counted():
    """The number of this call, from 0, over all processes."""
    k = len(list(FOLDER.glob("call-*")))
    while True:
        try:
            os.close(os.open(FOLDER / f"call-{k}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            k += 1
            continue
        return k


def loss(x):
    """The sum of the factors over the root of their number: standard normal."""
    if (FOLDER / "kill").read_text() == str(counted()):
        os.kill(os.getpid(), signal.SIGKILL)
    return x.sum(axis=1) / x.shape[1] ** 0.5
