# Every target makes .venv first when it is missing, and again when the dependencies changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Tests wait for other processes half of the time, so more run at once than a small machine has cores; with one thread
# each, as more threads than cores only slow one another.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it

demo: $(INSTALLED) ## Search handwritten digits with local workers, show the best trials and the winner's test score
	$(BIN)/narrows demo

serve: $(INSTALLED) ## Run the service on 127.0.0.1:8000 until Ctrl-C
	$(BIN)/narrows serve

test: $(INSTALLED) ## Run the tests
	$(TESTS)

check: $(INSTALLED) ## Format, lint, types and tests: what has to pass
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(TESTS)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Narrows needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]'
	@touch $@
