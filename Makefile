# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make the environment they need.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO   ?= var/demo

.PHONY: demo demo-full compare test lint types check clean

$(BIN)/.installed: pyproject.toml .ci/requirements.txt $(wildcard examples/erp/requirements*.txt)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
	@touch $@

# Plays a working day of the example ERP under the agent, with no DSN and no server, and shows what was caught.
demo: $(BIN)/.installed
	@$(BIN)/python examples/demo.py --home $(DEMO)

# The same ERP on PostgreSQL, Redis, gunicorn, a Celery worker and beat, with many people at work in it. FULL="--seconds 60".
demo-full: $(BIN)/.installed
	@$(BIN)/python examples/demo_full.py --home $(DEMO)-full $(FULL)

# The same work there with the agent and without it: the same answers, rows and mails, or what differs.
compare: $(BIN)/.installed
	@$(BIN)/python examples/demo_full.py --home $(DEMO)-compare --compare $(FULL)

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
