# Every target makes .venv first when it is missing, and again when the dependencies changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# One thread for each test process: more threads than cores only slow one another.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# Tests wait for other processes half of the time, so more of them run at once than a small machine has cores. The tests
# of one file share their services, so they stay in one process.
BY_FILE := -n 4 --dist loadfile --no-loadscope-reorder

TYPESCRIPT := typescript@5.9.3

# Hundreds of processes import the same files: compiled files save a fifth of all the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo serve docs-reference lint typescript quick test slow check-rest check

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it

demo: $(INSTALLED) ## Search handwritten digits with local workers, show the best trials and the winner's test score
	$(BIN)/narrows demo

serve: $(INSTALLED) ## Run the service on 127.0.0.1:8000 until Ctrl-C
	$(BIN)/narrows serve

docs-reference: $(INSTALLED) ## Write docs/reference-*.md from the schemas and the table of settings
	$(BIN)/python -m docs.reference

lint: $(INSTALLED) ## Format, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

typescript: $(INSTALLED) ## Types of the web interface's modules, by their JSDoc; needs node and npm
	@if npm install --silent --no-save --no-package-lock --prefix .venv/typescript $(TYPESCRIPT); then \
	  .venv/typescript/node_modules/.bin/tsc -p service/web/pages/jsconfig.json; \
	else \
	  echo "NO $(TYPESCRIPT): THE TYPES OF THE WEB INTERFACE WERE NOT CHECKED (apt-get install nodejs npm)" >&2; \
	  test -z "$$NARROWS_REQUIRE_NODE"; \
	fi

quick: lint ## Lint, and the unit, contract and document tests that start no process: below a minute
	$(TESTS) -n 2 --dist worksteal -m 'not processes and not heavy and not slow' tests/unit tests/contracts tests/docs

test: $(INSTALLED) ## Everything that a change can break in behaviour, real databases and a browser included
	$(TESTS) $(BY_FILE) -m 'not slow'

slow: $(INSTALLED) ## The slow tier: crashes, chaos, every route fuzzed, the long matrices
	$(TESTS) $(BY_FILE) -m slow

check-rest: lint typescript slow ## What `make check` runs after `make test`

check: test check-rest ## All of it: what has to pass

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Narrows needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]'
	@touch $@
