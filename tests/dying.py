"""Losses that end the process of their worker; in a module that a fresh process imports quickly."""

import multiprocessing
import os
import signal

DEADLY = 2.7
"""A first factor above it kills: 1 normal in 288, so hardly one run of 4,000 in a million has none."""


def total(x):
    return x.sum(axis=1) / 3.0**0.5


def segmentation_fault(x):
    if (x[:, 0] > DEADLY).any():
        end(signal.SIGSEGV)
    return total(x)


def killed_beyond(limit, x):
    if (x[:, 0] > limit).any():
        end(signal.SIGSEGV)
    return total(x)


def exiting(x):
    if (x[:, 0] > DEADLY).any():
        end()
    return total(x)


def killed_for_a_row(x):
    if x[0] > DEADLY:
        end(signal.SIGKILL)
    return x.sum() / 3.0**0.5


def killed_once(path, x):
    """Killed from outside in the first call of all, which makes the file ``path``."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return total(x)
    return end(signal.SIGKILL)


def end(number=None):
    """End this process by a signal or with exit code 7, where it is a worker's and not that of the tests."""
    assert multiprocessing.parent_process() is not None
    if number is None:
        os._exit(7)
    os.kill(os.getpid(), number)
