# Two commands do everything on a fresh machine: `make demo` and `make test`. Each makes the environment that it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO   ?= var/demo
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Of npm: what `report` embeds in its page, and what tests its page.
UPLOT   = 1.6.32
AXE     = 4.14.1
FORMATTED = agent bench tests .ci

# What pytest rewrites of the tests takes half of the time in which it collects them, in each of its processes: it is kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help dev demo demo-full compare test test-fast lint format types check site pictures release plots axe clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/.installed: pyproject.toml .ci/requirements.py $(wildcard examples/erp/requirements*.txt)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(BIN)/python .ci/requirements.py dev >$(VENV)/requirements.txt
	$(PIP) -r $(VENV)/requirements.txt -r examples/erp/requirements-production.txt
	@touch $@

dev: $(BIN)/.installed ## Make this checkout ready for work: environment, tools, git hook
	@if git rev-parse --git-dir >/dev/null 2>&1; then $(BIN)/pre-commit install; else echo "no git repository: no git hook"; fi
	@echo "Ready. Run 'make test-fast' while you work, and 'make check' before you propose a change."

demo: $(BIN)/.installed ## Run a working day of the example ERP and show what was caught (no server, no DSN)
	@$(BIN)/python examples/demo.py --home $(DEMO)

# FULL="--seconds 60" runs it for longer.
demo-full: $(BIN)/.installed ## The same on PostgreSQL, Redis, gunicorn and Celery, with many people at work
	@$(BIN)/python examples/demo_full.py --home $(DEMO)-full $(FULL)

compare: $(BIN)/.installed ## Compare what the ERP does with and without the agent: responses, rows and mails
	@$(BIN)/python examples/demo_full.py --home $(DEMO)-compare --compare $(FULL)

test: $(BIN)/.installed ## Run all tests
	$(BIN)/python -m pytest -q -n auto tests

test-fast: $(BIN)/.installed ## Run the tests that start no hosts and are not marked slow (less than a minute)
	$(BIN)/python -m pytest -q -n auto -m "not slow and not acceptance and not compat" \
	  --ignore=tests/acceptance --ignore=tests/compat tests

lint: $(BIN)/.installed ## Check the code with Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check $(FORMATTED)

format: $(BIN)/.installed ## Sort the imports and format the code with Ruff
	$(BIN)/ruff check --select I --fix $(FORMATTED)
	$(BIN)/ruff format $(FORMATTED)

types: $(BIN)/.installed ## Check the types with mypy --strict
	$(BIN)/mypy

check: lint types test ## Run everything that must pass before a change is proposed

site: $(BIN)/.installed ## Build the documentation as a site that can be read without a network: var/site/index.html
	$(BIN)/python .ci/requirements.py docs >$(VENV)/docs.txt
	$(PIP) -r $(VENV)/docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Without `test`: the tests run once, in the unpacked sdist, which is what others receive.
release: lint types ## Make and check what a release consists of, in dist/; nothing leaves the machine (REHEARSAL=1 for a try)
	$(BIN)/python .ci/requirements.py release >$(VENV)/release.txt
	$(PIP) -r $(VENV)/release.txt
	.ci/release

pictures: $(BIN)/.installed ## Make the pictures of the documentation again (the report's needs Chromium)
	$(BIN)/python docs/pictures/make.py

plots: ## Fetch the library again that draws the plots of `report` (needs npm); its release is in this file
	mkdir -p var/npm && cd var/npm && npm pack --silent uplot@$(UPLOT) && tar xzf uplot-$(UPLOT).tgz
	cp var/npm/package/dist/uPlot.iife.min.js var/npm/package/dist/uPlot.min.css var/npm/package/LICENSE agent/cli/report/uplot/

axe: ## Fetch what checks the page of `report` for accessibility in a browser (needs npm)
	mkdir -p var/axe && cd var/axe && npm pack --silent axe-core@$(AXE) && tar xzf axe-core-$(AXE).tgz

clean: ## Remove what was built and written
	rm -rf var dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis examples/erp/var
