# Each target does its own set-up and can be run first. Needed: Python 3.11 with pip, git and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# One worker per core, one thread per worker.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(shell nproc 2>/dev/null || echo 2) --dist worksteal

.PHONY: demo test test-slow test-all check format docs lessons clean

# Train, test and report on built-in images: about a minute.
demo: $(VENV)/.user
	$(BIN)/foveate demo

# The fast tests, on all cores: about five minutes on two.
test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

# The rest: lessons, long resume tests, the browser.
test-slow: $(VENV)/.dev
	$(PYTEST) -m slow

test-all: $(VENV)/.dev
	$(PYTEST)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site that needs no network: build/docs/index.html. Warnings are errors.
docs: $(VENV)/.docs
	rm -rf docs/reference/generated build/docs build/doctrees
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

# All lessons as pages that need no Python: build/lessons/index.html.
lessons: $(VENV)/.dev
	$(BIN)/foveate lesson --site build/lessons

# One stamp for each kind of installation, so that nothing is installed twice.
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

$(VENV)/.user: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[dev]'
	touch $@ $(VENV)/.user

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[dev,docs]'
	touch $@ $(VENV)/.dev $(VENV)/.user

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -rf docs/reference/generated docs/reference/commands.md
