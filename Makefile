# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make the environment they need.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO   ?= var/demo

.PHONY: demo test lint types check bench clean

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
	@touch $@

# Plays a working day of the example ERP under the agent, with no DSN and no server, and shows what was caught.
demo: $(BIN)/.installed
	@$(BIN)/python examples/demo.py --home $(DEMO)

test: $(BIN)/.installed
	$(BIN)/python -m pytest -q -n auto tests

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check agent tests bench

types: $(BIN)/.installed
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf var dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis examples/erp/var
