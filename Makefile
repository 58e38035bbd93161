# Two commands matter: `make run` (a first result on real digits) and `make test`.
# Both build .venv from the pinned constraints and need only python3 and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-slow lint format reference bench clean

run: .venv/.installed
	$(BIN)/ceflow run examples/quickstart.toml

test: .venv/.installed-dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: .venv/.installed-dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python tools/reference.py --check

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is generated from the classes of the language and of the results: the schemas of editors and
# the tables of spec/*.md.
reference: .venv/.installed
	$(BIN)/ceflow schema > schemas/ceflow.schema.json
	$(BIN)/ceflow schema --results > schemas/results.schema.json
	$(BIN)/python tools/reference.py

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

.venv/.installed: pyproject.toml constraints.txt
	@echo "Installing ceflow and what it needs into .venv, which takes a minute or two ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Installing what the tests and linters need into .venv ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv runs .pytest_cache .ruff_cache
