# Every target sets up .venv first, if it was not yet done for this place, this pyproject.toml and this constraints.txt.

SHELL := /bin/bash
KEY := $(shell (pwd; cat pyproject.toml constraints.txt) | cksum | tr ' ' '-')
READY := .venv/ready-$(KEY)
PY := .venv/bin/python
DUCKDB := .venv-duckdb/ready-$(shell (pwd; cat tests/data/lake/duckdb.txt) | cksum | tr ' ' '-')
PEERS := $(patsubst benchmarks/peers/%.txt,.venv-peers/%/ready,$(wildcard benchmarks/peers/*.txt))
UNIT := not ray and not e2e and not postgres and not server and not chaos
ARGS ?=

# Compiled modules are kept: without them each of some hundred processes that tests start compiles raypipe anew, and pytest its tests.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test unit lint format reference bench bench-peers chaos services clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo       the flights example, from raw files to an answered request'
	@echo 'make test       lint, types and all tests'
	@echo 'make unit       only the tests that start neither Ray nor a server'
	@echo 'make lint       ruff and the type checker'
	@echo 'make format     let ruff rewrite what it can'
	@echo 'make reference  write docs/reference.md from the code'
	@echo 'make bench      all benchmarks (ARGS=--quick: short ones)'
	@echo 'make bench-peers  environments of the programs that a benchmark compares with: 0.6 GB'
	@echo 'make chaos      the tests that kill processes and break disks, in their long form: an hour or more'
	@echo 'make services   install the Debian packages that some tests use'
	@echo 'make clean      remove what the other targets left, .venv apart'

demo: $(READY)
	@$(PY) examples/flights/demo.py

# Tests that start neither Ray nor a database run on all cores, the others one after another. 5: pytest found none of the kind.
test: lint $(DUCKDB)
	@$(PY) -m pytest -n auto --dist loadfile -m '$(UNIT)' $(ARGS); code=$$?; test $$code = 0 -o $$code = 5
	@$(PY) -m pytest -m 'not ($(UNIT))' $(ARGS); code=$$?; test $$code = 0 -o $$code = 5

unit: $(READY)
	@$(PY) -m pytest -n auto --dist loadfile -m '$(UNIT)' $(ARGS)

lint: $(READY)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo '`make format` rewrites what differs.'; exit 1; }
	@$(PY) -m pyright

format: $(READY)
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet --fix .

reference: $(READY)
	@$(PY) -m tests.rules.reference

bench: $(READY)
	@failed=; for file in $$(grep -l '^from claim import' benchmarks/*.py); do \
	  echo "# $$file"; $(PY) $$file $(ARGS) || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "falls short:$$failed"; exit 1; }

bench-peers: $(PEERS)

chaos: $(READY)
	@RAYPIPE_CHAOS=long $(PY) -m pytest -m chaos $(ARGS)

services:
	@missing=; command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || missing=postgresql; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	test -n "$$missing" || { echo 'PostgreSQL and strace are installed.'; exit 0; }; \
	test "$$missing" = ' strace' && code=0 || code=1; \
	command -v apt-get >/dev/null || { echo "No apt-get here: install $$missing yourself; the tests that need it are skipped without."; exit $$code; }; \
	root=; test "$$(id -u)" = 0 || root='sudo -n'; \
	$$root true 2>/dev/null || { echo "Installing $$missing takes root, or sudo without a password."; exit $$code; }; \
	echo "Installing $$missing ..."; \
	$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing >/dev/null || exit $$code

clean:
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis wandb .raypipe examples/*/.raypipe examples/*/data
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

# Another program that reads the tables, in an environment of its own: two copies of SQLite in one process on one file would corrupt it.
$(DUCKDB): $(READY)
	@echo 'Setting up .venv-duckdb: seconds, once.'
	@$(PY) -m venv --clear .venv-duckdb && \
	.venv-duckdb/bin/python -m pip install -qq --disable-pip-version-check -r tests/data/lake/duckdb.txt && touch $@

# Each in an environment of its own: their libraries' versions are not raypipe's, nor each other's.
.venv-peers/%/ready: benchmarks/peers/%.txt | $(READY)
	@echo 'Setting up .venv-peers/$*: half a minute, once.'
	@$(PY) -m venv --clear .venv-peers/$* && \
	.venv-peers/$*/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

# A virtual environment does not survive a move: made anew where the checkout lies elsewhere than it did.
$(READY):
	@for python in python3.11 python3 python3.12 python3.13; do \
	  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; python=; \
	done; \
	test -n "$$python" || { echo 'raypipe needs Python 3.11 to 3.13 as python3.11 or python3.'; exit 1; }; \
	test "$$(cat .venv/place 2>/dev/null)" = "$$(pwd)" || clear=--clear; \
	echo "Setting up .venv with $$($$python --version): a minute or two and 2.6 GB, once."; \
	$$python -m venv $$clear .venv && pwd > .venv/place && \
	$(PY) -m pip install -qq --disable-pip-version-check --no-warn-script-location -c constraints.txt -e '.[dev]'
	@rm -f .venv/ready-* && touch $@
