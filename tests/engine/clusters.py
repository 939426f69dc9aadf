"""A loss for clusters: it counts its calls in a folder, and kills its worker or the scheduler at a counted call."""

import itertools

LOSS = '''
import os
import signal
from pathlib import Path

FOLDER = Path({folder!r})


def counted():
    """The number of this call, from 0, over all processes."""
    for k in range(10**6):
        try:
            os.close(os.open(FOLDER / f"call-{{k}}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return k


def numbers(name):
    path = FOLDER / name
    return set(map(int, path.read_text().split())) if path.exists() else set()


def loss(x):
    k = counted()
    if k in numbers("kills"):
        os.kill(os.getpid(), signal.SIGKILL)
    if k in numbers("ends"):
        os.kill(int((FOLDER / "scheduler").read_text()), signal.SIGKILL)
    return x.sum(axis=1) / x.shape[1] ** 0.5


def poison(x):
    counted()
    if (x[:, 0] > {deadly}).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return x.sum(axis=1) / x.shape[1] ** 0.5


def wrong(x):
    counted()
    raise ValueError("no loss today")
'''

_COUNT = itertools.count()


class Counting:
    """The file of the loss, and the folder of its counts; a kill is planned before a run begins."""

    def __init__(self, parent, kills=(), ends=(), deadly=2.7):
        self.folder = parent / f"counts-{next(_COUNT)}"
        self.folder.mkdir()
        self.path = self.folder / "counted.py"
        self.path.write_text(LOSS.format(folder=str(self.folder), deadly=deadly))
        (self.folder / "kills").write_text(" ".join(map(str, kills)))
        (self.folder / "ends").write_text(" ".join(map(str, ends)))

    def function(self, name="loss"):
        return f"{self.path}:{name}"

    @property
    def calls(self):
        return len(list(self.folder.glob("call-*")))
