# `make help` lists what there is.  Everything runs from a clean clone; set-up happens by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST_ARGS ?=

.PHONY: help
help: ## what you can make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup setup-test setup-bench
setup: ## install what is missing: system packages by apt, .venv with locked versions
	@deploy/setup
setup-test:
	@deploy/setup test
setup-bench:
	@deploy/setup bench

.PHONY: demo
demo: setup ## break a two-cluster network with an MTU black hole, watch, and get it back
	@$(BIN)/chaosnet run experiments/incidents/mtu-black-hole.yaml

.PHONY: test check lint type arch
test: setup-test ## the checks, then every test that this machine can run
	@$(MAKE) --no-print-directory check
	@for python in .venv-3*/bin/python; do if [ -x $$python ]; then \
	    $$python -m pytest -q -m chaostoolkit $(PYTEST_ARGS); fi; done
	@$(BIN)/python -m pytest -m "not vm" $(PYTEST_ARGS)

check: lint type arch ## lint, types and the rules of import
lint: setup
	@$(BIN)/ruff check --quiet chaosnet tests bench
type: setup
	@$(BIN)/mypy --no-error-summary
arch: setup
	@$(BIN)/lint-imports --no-logo > .import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }

.PHONY: bench
bench: setup-bench ## measure against Mininet, nsenter, C and chaos itself
	@$(BIN)/python -m bench

.PHONY: tables
tables: setup ## write the tables of faults and probes into README.md
	@$(BIN)/python deploy/tables

.PHONY: lock
lock: setup ## write locks/ anew from pyproject.toml (needs the network)
	@deploy/lock

.PHONY: clean
clean: ## remove what make made
	rm -rf .venv .venv-3* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .import_linter.log .hypothesis
