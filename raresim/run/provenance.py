"""Where a result comes from: files, versions, and the seconds of each stage."""

from __future__ import annotations

import functools
import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import raresim
from raresim.numerics.streams import BIT_GENERATOR, STREAM_VERSION
from raresim.registry import adopted


def durations(begun: float, ends: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage that has ended or begun, and of the whole run, from the times at which stages ended."""
    now, last = time.perf_counter(), begun
    seconds = {}
    for stage in ("tune", "estimate", "audit"):
        end = ends.get(stage, now)
        seconds[stage], last = end - last, end
    return seconds | {"total": now - begun}


def compile_seconds(events: Sequence[tuple[float, Any]]) -> float:
    """Seconds inside numba's compiler, from its recorded start and end events (nested ones counted once)."""
    total, depth, begun = 0.0, 0, 0.0
    for moment, event in events:
        if event.is_start:
            begun = moment if depth == 0 else begun
            depth += 1
        else:
            depth -= 1
            total += moment - begun if depth == 0 else 0.0
    return total


def fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and hash of a file, without its folder."""
    content = path.read_bytes()
    return {"name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of the packages that a digit may depend on."""
    packages = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "pydantic", "ruamel.yaml")
    return {name: metadata.version(name) for name in packages}


def environment() -> dict[str, Any]:
    return {
        "raresim": raresim.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpu": platform.processor() or platform.machine(),
        "packages": _versions() | adopted(),
        "bit_generator": BIT_GENERATOR,
        "stream_version": STREAM_VERSION,
    }
