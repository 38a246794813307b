# Each target does its own set-up, in .venv. `make demo` shows Backstop at work; `make check` is what a change must pass.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --no-strip-extras

.PHONY: demo picture test test-busy check lint coverage simulate soak mutate bench official diagram format lock clean

.venv/installed: requirements-dev.txt packages/spanner-backup-emulator/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Backstop needs Python 3.11 or later, and this is " + sys.version.split()[0] + "; try make PYTHON=python3.13")'
	@echo "Setting up .venv, once."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable packages/spanner-backup-emulator
	@touch $@

demo: .venv/installed
	@$(BIN)/python -m demo

picture: .venv/installed
	$(BIN)/python -m demo --svg docs/demo.svg

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-busy: .venv/installed
	$(BIN)/python -m tools.soak_tests $(or $(RUNS),20)

check: lint coverage simulate test

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

coverage: .venv/installed
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered -q tests/unit

simulate: .venv/installed
	$(BIN)/python -m tests.simulation --histories 20000 --exhaustive
	$(BIN)/python -m tests.simulation --histories 2000 --seed 0x$$(git rev-parse --short=12 HEAD 2>/dev/null || echo 0)

soak: .venv/installed
	$(BIN)/python -m tests.simulation --soak --histories $(or $(HISTORIES),1000000) --seed $(or $(SEED),1)

mutate: .venv/installed
	$(BIN)/python -m tools.mutate

bench: .venv/installed
	$(BIN)/python -m benchmarks

official: .venv/installed
	$(BIN)/python packages/spanner-backup-emulator/official $(FROM)

diagram: .venv/installed
	$(BIN)/python -m tools.diagram
	cd packages/spanner-backup-emulator && ../../$(BIN)/python -m spanner_backup_emulator.support SPANNER.md PUBSUB.md TASKS.md

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/installed
	$(UV) --output-file requirements.txt
	$(UV) --group dev --extra cli --constraint requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf .venv
