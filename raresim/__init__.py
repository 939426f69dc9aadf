"""raresim: rare-event Monte Carlo with intervals that hold and verdicts that say when they do not."""

import importlib
from collections.abc import Callable

__version__ = "0.1.0"


def by_stub(
    package: str, families: tuple[str, ...] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package that imports a public name when it is first used.

    Parameters
    ----------
    package : str
        A package with a stub ``__init__.pyi``: a line ``from MODULE import NAME as NAME`` of it is all that a further
        name takes.
    families : tuple of str
        Folders whose members are called by the name of the folder: ``raresim.marginals.Normal``.
    """
    module = importlib.import_module(package)
    loader = module.__spec__.loader  # type: ignore[union-attr]  # it has just been imported
    stub = loader.get_data(f"{module.__path__[0]}/__init__.pyi").decode()  # type: ignore[union-attr]
    lines = [line.split() for line in stub.replace("(\n", "").splitlines() if line.startswith("from raresim")]
    homes = {words[3]: words[1] for words in lines}

    def get(name: str) -> object:
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(module, name, value)
            return value
        if name in families:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    names = sorted(homes)
    return get, lambda: sorted({*vars(module), *names}), names


# `raresim --help` must not wait for numpy.
__getattr__, __dir__, __all__ = by_stub(__name__, families=("copulas", "marginals", "models"))
