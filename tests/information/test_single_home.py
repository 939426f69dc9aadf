"""Divergences and entropies are computed in `raresim.information` and nowhere else."""

import re
from pathlib import Path

import pytest

import raresim

PACKAGE = Path(raresim.__file__).parent
LOG = r"\blog(?:2|10|1p)?\("
PATTERNS = {
    "a divergence of SciPy": r"\b(?:rel_entr|kl_div|xlogy|xlog1py|entr|jensenshannon)\b|\bstats\.entropy\b",
    "log of a ratio of two laws": rf"{LOG}\s*\w*\bp\w*\s*/\s*\w*\bq\w*|{LOG}\s*(\w+)\s*/\s*\w+\s*\)\s*\*\s*\1\b",
    "p log p": rf"\b(\w+(?:\[[^]]*\])?)\s*\*\s*(?:np|math)\.{LOG}\s*\1",
    "p times the log of a ratio": rf"\b(\w+)\s*\*\s*(?:np|math)\.{LOG}\s*\1\s*/",
    "p times a difference of logs": rf"\b(\w+)\s*\*\s*\(\s*(?:np|math)\.{LOG}\s*\1\s*\)\s*-",
    "the trace and determinant of KL between normals": r"\btrace\([^=]*-\s*d\b|\bslogdet\(",
    "the KL of two variances": rf"-\s*1(?:\.0)?\s*-\s*(?:np|math)\.{LOG}",
    "the entropy of a normal law": r"2(?:\.0)?\s*\*\s*(?:np|math)\.pi\s*\*\s*(?:np|math)\.e\b",
}
EXAMPLES = {
    "a divergence of SciPy": ["return float(rel_entr(p, q).sum())", "h = stats.entropy(p)", "xlogy(p, q)"],
    "log of a ratio of two laws": ["np.log(p / q)", "kl = (math.log(p/q)).mean()", "np.log(a / b) * a"],
    "p log p": ["-(p * np.log(p)).sum()", "h -= w * math.log(w)", "p[k] * np.log(p[k])"],
    "p times the log of a ratio": ["(a * np.log(a / b)).sum()"],
    "p times a difference of logs": ["(p * (np.log(p) - np.log(q))).sum()"],
    "the trace and determinant of KL between normals": ["0.5 * (np.trace(a) - d)", "np.linalg.slogdet(c)[1]"],
    "the KL of two variances": ["0.5 * (r - 1 - np.log(r)).sum()"],
    "the entropy of a normal law": ["0.5 * math.log(2 * math.pi * math.e)"],
}


def sources():
    """Name and text of each module outside `raresim.information`, without docstrings.

    Marginals, and a law with a radius of its own, are left out: the logarithms of their densities look the same.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(("information/", "marginals/", "distributions/von_mises_fisher_nakagami")):
            yield name, re.sub(r'"""(?s:.*?)"""', '""', path.read_text(encoding="utf-8"))


def found(pattern, text):
    return [line.strip() for line in text.splitlines() if re.search(pattern, line)]


@pytest.mark.parametrize("what", PATTERNS)
def test_no_second_implementation(what):
    hits = {name: lines for name, text in sources() if (lines := found(PATTERNS[what], text))}
    assert not hits, f"{what} outside raresim/information: {hits}"


@pytest.mark.parametrize("what", PATTERNS)
def test_pattern_sees_what_it_is_for(what):
    """A control: the search would find one."""
    for line in EXAMPLES[what]:
        assert found(PATTERNS[what], line), f"not seen: {line}"


def test_search_covers_the_package_and_sees_the_real_implementation():
    names = [name for name, _ in sources()]
    assert {
        "methods/cross_entropy.py",
        "accumulators/tail.py",
        "proposals/gaussian.py",
        "run/probabilities.py",
        "run/quantiles.py",
    } <= set(names)
    inside = "\n".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "information").glob("*.py"))
    assert found(PATTERNS["a divergence of SciPy"], inside)
    assert found(PATTERNS["the trace and determinant of KL between normals"], inside)


@pytest.mark.parametrize(
    "module", ["accumulators/tail.py", "accumulators/level.py", "proposals/gaussian.py", "run/probabilities.py"]
)
def test_whoever_speaks_of_information_asks_for_it(module):
    assert "from raresim.information import" in (PACKAGE / module).read_text(encoding="utf-8")
