# On a fresh machine `make demo` and `make test` need Python 3.11 or newer and nothing else: they make
# .venv, install into it what constraints.txt names, and run. The second time there is nothing to set up.

VENV := .venv
BIN := $(VENV)/bin
# Python compiles what is imported when it is imported: a fraction of what is installed. It has to be allowed to keep
# that (images of containers often forbid it), or every process that a test starts compiles torch anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --no-compile
PYTEST = $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal

# The newest that runs; a name on PATH is not enough (version switchers leave stubs there).
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
ANY_PYTHON = $$(python3 --version 2>/dev/null || python --version 2>/dev/null || echo "no Python at all")

.DEFAULT_GOAL := help
.PHONY: demo test test-fast test-all test-vllm vllm-cpu lint docs format clean help

demo: $(VENV)/.core ## Set up if needed; agents under faults in seconds, then a model that learns, in minutes
	$(BIN)/faultgym demo $(ARGS)
	@$(MAKE) --no-print-directory $(VENV)/.train
	$(BIN)/faultgym demo --no-tables --loop $(ARGS)

test: $(VENV)/.dev ## Set up if needed, then run the tests on all cores; ARGS='-k sql' goes to pytest
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.dev ## The same without what takes seconds: models, other processes, clusters
	$(PYTEST) --level fast $(ARGS)

test-all: $(VENV)/.dev vllm-cpu ## Everything there is, then all that starts a real vLLM, one after the other
	$(PYTEST) --level all -m "not vllm" $(ARGS)
	$(BIN)/pytest --level all -m vllm $(ARGS)

test-vllm: $(VENV)/.dev vllm-cpu ## Run the tests that start real vLLM, one after the other
	$(BIN)/pytest --level all -m vllm $(ARGS)

vllm-cpu: $(VENV)/.made ## Set up a real vLLM for a machine without a GPU, in .venv-vllm
	$(BIN)/python scripts/support/vllm_env.py

lint: $(VENV)/.dev ## Lint, formatting, types and the import contracts; all of them, whichever fails
	@status=0; for check in "ruff check ." "ruff format --check ." mypy lint-imports; do \
		echo "$$check"; $(BIN)/$$check || status=1; done; exit $$status

docs: $(VENV)/.docs ## Build the site into site/; what does not resolve is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/.dev ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environments, caches and build outputs; runs/ stays
	rm -rf $(VENV) .venv-vllm build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Stamps: what is older than pyproject.toml or constraints.txt is installed again.
$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing faultgym into $(VENV) (once)"
	@$(INSTALL) -e '.[serve]' -c constraints.txt
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing what training needs into $(VENV) (once: torch, transformers, TRL, PEFT)"
	@$(INSTALL) -e '.[serve,data,train]' -c constraints.txt
	@touch $(VENV)/.core $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing faultgym and its development tools into $(VENV) (once)"
	@$(INSTALL) -e '.[dev]' -c constraints.txt
	@touch $(VENV)/.core $(VENV)/.train $@

$(VENV)/.docs: $(VENV)/.core
	@echo "Installing what the site needs into $(VENV) (once)"
	@$(INSTALL) -e '.[docs]' -c constraints.txt
	@touch $@

# An environment with a pip that runs is kept as it is; anything less is made anew.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "faultgym needs Python 3.11 or newer; found $(ANY_PYTHON)." >&2; \
		echo "Install one, or name it: make test PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "faultgym needs Python 3.11 or newer; found $$("$(PYTHON)" --version 2>&1) ($(PYTHON))." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: it comes without ensurepip." >&2; \
		echo "On Debian and Ubuntu: apt install $$("$(PYTHON)" -c \
			'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@touch $@
