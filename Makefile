# Each target sets up everything it needs on a fresh clone; a second call is quick.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A file is run by one process, which makes what its tests share once.
SPREAD := -n auto --dist loadscope

# A test may start processes; without a cache of bytecode each would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all lint docs gallery schema lowest wheel clean

demo: $(READY)
	$(BIN)/raresim run configs/portfolio-5-sigma-t.yaml

test: $(READY)
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest $(SPREAD)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Runs the configs that have no picture yet, or changed since.
gallery: $(READY)
	$(BIN)/python docs/gallery/draw.py

docs: $(READY)
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build

lowest: # the lowest versions of the dependencies
	$(PYTHON) .ci/lowest.py

wheel: # built, compared with that of the source distribution, and tried
	$(PYTHON) .ci/wheel.py

schema: $(READY) # for editors
	$(BIN)/raresim schema > configs/schema.json

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv .venv-lowest dist runs docs/_build docs/generated
