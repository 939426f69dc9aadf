"""A loss that changes whatever it can for the whole process; in a module that a fresh process imports quickly."""

import decimal
import locale
import os
import random
import signal
import sys
import warnings

import numpy as np


def total(x):
    return x.sum(axis=1) / 3.0**0.5


def unruly(x):
    np.seterr(all="raise")
    np.random.seed(1)  # noqa: NPY002  # what users write
    np.set_printoptions(precision=1)
    random.seed(1)
    decimal.getcontext().prec = 2
    locale.setlocale(locale.LC_ALL, "C")
    warnings.simplefilter("error")
    os.environ["OMP_NUM_THREADS"] = "3"
    sys.path.insert(0, "/nowhere")
    return total(x)


def of_the_main_thread(x):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return unruly(x)
