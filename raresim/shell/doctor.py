"""What ``raresim doctor`` looks at: everything on the machine that a run may need, with what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from raresim import __version__
from raresim.errors import ConfigError

PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "matplotlib",
    "pydantic",
    "ruamel.yaml",
    "typer",
    "rich",
    "jinja2",
    "threadpoolctl",
)

OPTIONAL = {
    "distributed": ("dask", "runs on a cluster, execution.executor dask"),
    "arch": ("garch", "inputs of kind garch"),
    "pyvinecopulib": ("vine", "the vine copula"),
    "pyarrow": ("arrow", "Parquet files"),
}
"""Packages of the extras: the extra, and what it is for."""

LEAST_SPACE = 2**30
"""Bytes of disk below which there is a warning."""


class Finding(NamedTuple):
    """One thing that was looked at: ``ok``, ``warn`` (a part of raresim cannot be used) or ``fail`` (no run can)."""

    status: str
    what: str
    text: str


def findings() -> list[Finding]:
    """Everything that is looked at; an examination that fails is a finding too."""
    found: list[Finding] = []
    for look in (_versions, _kernels, _processors, _linear_algebra, _extras, _plugins, _chromium, _disk):
        try:
            found += look()
        except Exception as error:  # the doctor must not die of what the patient has
            found.append(
                Finding("fail", look.__name__.strip("_").replace("_", " "), f"{type(error).__name__}: {error}")
            )
    return found


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "raresim", f"{__version__}, {Path(__file__).parents[1]}")
    yield Finding("ok", "python", f"{platform.python_version()}, {sys.executable}, {platform.platform(terse=True)}")
    for name in PACKAGES:
        try:
            yield Finding("ok", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("fail", name, f"is not installed: pip install {name}")


def _kernels() -> Iterator[Finding]:
    """Whether compiled kernels can be kept on disk."""
    from raresim.shell import warmup

    try:
        folder = warmup.cache_folder()
    except RuntimeError as error:  # numba found no folder that it can write to
        yield Finding(
            "warn", "numba cache", f"compiled kernels are not kept, each run compiles: {error}; set NUMBA_CACHE_DIR"
        )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    kept, every = warmup.kept()
    advice = "" if kept == every else "; raresim warmup compiles the others"
    yield Finding("ok", "numba cache", f"{folder} can be written; {kept} of {every} kernels are kept{advice}")


def _processors() -> Iterator[Finding]:
    from raresim.engine.executors import Execution

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [f"{key}={os.environ[key]}" for key in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if key in os.environ]
    more = f" ({', '.join(limits)})" if limits else ""
    text = f"{allowed} of {os.cpu_count()} may be used; a run takes {Execution().n_workers} workers{more}"
    yield Finding("ok", "processors", text)


def _linear_algebra() -> Iterator[Finding]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.linalg.eigh(np.eye(2))
    pools = [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]
    for pool in pools:
        yield Finding("ok", "BLAS", f"{pool['internal_api']} {pool.get('version')}, {pool['num_threads']} threads")
    if not pools:
        yield Finding(
            "warn", "BLAS", "threadpoolctl found no BLAS: the number of its threads may change the last digits of a run"
        )


def _extras() -> Iterator[Finding]:
    for name, (extra, purpose) in OPTIONAL.items():
        try:
            yield Finding("ok", name, f"{metadata.version(name)}, for {purpose}")
        except metadata.PackageNotFoundError:
            yield Finding("warn", name, f"is not installed; {purpose}: pip install 'raresim[{extra}]'")


def _plugins() -> Iterator[Finding]:
    from raresim.registry import members, plugins

    try:
        found = plugins()
    except ConfigError as error:
        yield Finding("warn", "plug-ins", str(error))
        return
    seen: dict[tuple[str, str], str] = {}
    for plugin in found:
        name = f"{plugin.family} kind {plugin.kind}"
        if plugin.kind in members(plugin.family):
            yield Finding("warn", "plug-in", f"{name} of {plugin} is never used: raresim has this kind itself")
        elif other := seen.get((plugin.family, plugin.kind)):
            yield Finding("warn", "plug-in", f"{name} is in {other} and in {plugin}: no run can use it")
        else:
            yield Finding("ok", "plug-in", f"{name} of {plugin}")
        seen[plugin.family, plugin.kind] = str(plugin)


def _chromium() -> Iterator[Finding]:
    from raresim.report.pdf import browser

    path = browser()
    found = Finding("ok", "chromium", f"{path}, for report --pdf")
    yield found if path else Finding("warn", "chromium", "is not on the path; report --pdf needs it")


def _disk() -> Iterator[Finding]:
    for folder in dict.fromkeys((Path.cwd(), Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        status, advice = ("ok", "") if free >= LEAST_SPACE else ("warn", ": a run folder may not fit")
        if not os.access(folder, os.W_OK):
            status, advice = "warn", ": cannot be written"
        yield Finding(status, "disk", f"{free / 2**30:.1f} GiB free in {folder}{advice}")
