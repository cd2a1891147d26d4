# Two commands for a newcomer: `make demo`, then `make ui`. Everything is installed into .venv from locked files.
PYTHON ?= python3
VENV ?= .venv
LOCK ?= requirements/dev.txt
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
FAULTS_PEERS := .venv-faults
CLIENTS := mlflow otel langfuse langsmith opik
# As pip does: a network with a certificate authority of its own then needs nothing more.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test faults faults-peers bench lint format schemas screenshots lock clean

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## Install everything into .venv

$(READY): $(LOCK) requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("tierlens needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(LOCK)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## Eleven agents, three brands, traced into MLflow: var/demo
	@$(BIN)/python -m examples.demo

ui: $(READY) ## MLflow's UI on the demo's data
	@$(BIN)/tierlens ui var/demo

test: $(READY) ## All tests, real servers included
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

faults: $(READY) ## What tierlens survives, row by row; FAULTS=full for the long forms, ONLY=1,5 for some
	@$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY))

faults-peers: $(READY) $(CLIENTS:%=$(FAULTS_PEERS)/%/.ready) ## The same faults, other tracing clients
	@$(BIN)/python -m tests.faults.peers $(FAULTS_PEERS)

$(FAULTS_PEERS)/%/.ready: requirements/peer-%.txt $(READY)
	@echo "Setting up $(@D) …"
	@$(PYTHON) -m venv $(@D)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(@D)/bin/python --require-hashes -r $<
	@touch $@

bench: $(READY) $(PEERS)/.ready ## Overhead and delivery figures, peers in the same run
	@$(BIN)/python -m tests.performance.run --peers $(PEERS)/bin/python

$(PEERS)/.ready: requirements/peers.txt $(READY)
	@echo "Setting up $(PEERS) …"
	@$(PYTHON) -m venv $(PEERS)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/bin/python --require-hashes -r requirements/peers.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

lint: $(READY) ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

schemas: $(READY) ## Write the JSON Schemas of the config files anew
	@$(BIN)/tierlens schema

screenshots: $(READY) ## Take docs/images anew, in a browser
	@SCREENSHOTS=docs/images $(BIN)/python -m pytest -q tests/browser

lock: $(READY) ## Resolve all lock files anew
	@PATH="$(abspath $(BIN)):$$PATH" requirements/lock.sh

clean: ## Remove environments and demo data
	rm -rf .venv .venv-* var
