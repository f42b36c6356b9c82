# Each target sets up what it needs in .venv first; `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
# Processes that run tests; each takes up to 5 GB.
PROCESSES ?= 2

.PHONY: demo test test-fast check docs clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed ## the main job on generated radiographs
	$(BIN)/featx demo --out featx-demo
	@echo 'Here featx is $(BIN)/featx; ". $(BIN)/activate" puts it on your path.'

test: .venv/installed ## all tests
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal

test-fast: .venv/installed ## the quick tests: the inner loop
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal -m 'not slow'

check: .venv/installed ## linters, types, floors, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: .venv/installed ## the documentation at a local address, rebuilt on change
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv site featx-demo .mypy_cache .pytest_cache .ruff_cache
