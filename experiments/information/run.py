"""From Shannon's entropy to importance sampling, on small examples.

``python experiments/information/run.py`` draws every figure and rewrites the tables in README.md beside this file;
``--check`` draws nothing and fails where a table in README.md differs from the one computed now.
"""

from __future__ import annotations

import argparse
import difflib
import re

import beliefs
import chain_rule
import die
import five_sigma
import one_hot
import tuning
from step import HERE, Step

STEPS = (die, chain_rule, beliefs, one_hot, five_sigma, tuning)
README = HERE / "README.md"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the tables with README.md; writes nothing")
    options = parser.parse_args()
    steps = [script.step() for script in STEPS]
    text = README.read_text(encoding="utf-8")
    new = rewritten(text, steps)
    if options.check:
        if new != text:
            lines = difflib.unified_diff(text.splitlines(), new.splitlines(), "README.md", "computed now", lineterm="")
            raise SystemExit("\n".join(lines))
        print(f"{len(steps)} tables agree with README.md")
        return
    for step in steps:
        step.write()
        print(f"{step.name}.png: {step.finding}")
    README.write_text(new, encoding="utf-8")


def rewritten(text: str, steps: list[Step]) -> str:
    """``text`` with what stands between the markers of each step replaced."""
    for step in steps:
        begin, end = f"<!-- {step.name} -->", f"<!-- end of {step.name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"README.md: must have {begin} and {end} once")
        text = pattern.sub(lambda _, step=step, b=begin, e=end: f"{b}\n{step.markdown()}\n{e}", text)
    return text


if __name__ == "__main__":
    main()
