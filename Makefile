# `make help` lists what there is.  Everything runs from a clean clone; set-up happens by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST_ARGS ?=

.PHONY: help
help: ## what you can make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup setup-test setup-bench setup-vm
setup: ## install what is missing: system packages by apt, .venv with locked versions
	@deploy/setup
setup-test:
	@deploy/setup test
setup-bench:
	@deploy/setup bench
setup-vm:
	@deploy/setup vm

.PHONY: demo
demo: setup ## break a two-cluster network with an MTU black hole, watch, and get it back
	@$(BIN)/chaosnet run experiments/incidents/mtu-black-hole.yaml

.PHONY: test check lint type arch
test: setup-test ## the checks, then every test that this machine can run
	@status=0; $(MAKE) --no-print-directory --keep-going check || status=1; \
	for python in .venv-3*/bin/python; do if [ -x $$python ]; then \
	    $$python -m pytest -q -m chaostoolkit $(PYTEST_ARGS) || status=1; fi; done; \
	$(BIN)/python -m pytest -m "not vm" -n 2 --dist loadfile $(PYTEST_ARGS) || status=1; \
	if [ $$status != 0 ]; then echo "make test: something above failed" >&2; fi; exit $$status

check: lint type arch ## lint, types and the rules of import
lint: setup
	@$(BIN)/ruff check --quiet chaosnet tests bench
type: setup
	@$(BIN)/mypy --no-error-summary
arch: setup
	@$(BIN)/lint-imports --no-logo > .import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }

.PHONY: test-vm
test-vm: setup-vm ## the tests that need a kernel with everything, in an emulated machine (minutes)
	@deploy/test-vm $(PYTEST_ARGS)

.PHONY: bench
bench: setup-bench ## measure against Mininet, nsenter, C and chaos itself
	@$(BIN)/python -m bench

.PHONY: picture
picture: setup ## draw the README's picture anew, from a real run
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	    $(BIN)/chaosnet run --quiet --out "$$out" experiments/incidents/mtu-black-hole.yaml; \
	    $(BIN)/chaosnet report "$$out" --format svg --output docs/timeline.svg

.PHONY: tables
tables: setup ## write the tables of faults and probes into README.md
	@$(BIN)/python deploy/tables

.PHONY: lock
lock: setup ## write locks/ anew from pyproject.toml (needs the network)
	@deploy/lock

.PHONY: clean
clean: ## remove what make made
	rm -rf .venv .venv-3* .venv-vm build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .import_linter.log .hypothesis
