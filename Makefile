# Every target does its own set-up and can be run first. Needed: Python 3.11 with pip, git and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lessons check format clean

# The main job on the built-in handwritten digits: trained, compared, tested once, reported.
demo: $(VENV)/.user
	$(BIN)/foveate demo

# The whole test suite, on all cores.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(shell nproc 2>/dev/null || echo 2) --dist worksteal

# All lessons as pages that need no Python; the first is build/lessons/index.html.
lessons: $(VENV)/.dev
	$(BIN)/foveate lesson --site build/lessons

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A stamp a kind of installation, so that nothing is installed twice.
$(VENV)/.user: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.user

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
