# Each target does its own set-up, in .venv. `make demo` shows Backstop at work; `make check` is what a change must pass.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format lock clean

.venv/installed: requirements-dev.txt
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

demo: .venv/installed
	$(BIN)/python -m emulators.demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv
