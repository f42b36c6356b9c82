# Each target sets up what it needs in .venv first; `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
# Processes that run tests; each takes up to 5 GB.
PROCESSES ?= 2

.PHONY: demo test test-fast check docs package try-package clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable '.[onnx,pandas,dicom,heic,jxl]'
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

package: .venv/installed ## the wheel and the source archive, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

try-package: package ## the main job of the wheel, installed plainly into an environment of its own
	rm -rf dist/try
	$(PYTHON) -m venv dist/try/venv
	dist/try/venv/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist/try && venv/bin/featx demo --out demo --cache cache
	rm -rf dist/try

clean:
	rm -rf .venv dist site featx-demo .mypy_cache .pytest_cache .ruff_cache
