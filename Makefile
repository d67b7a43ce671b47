# Everything runs in .venv, which is made on first use and brought up to date when the pins change.
# Flags for the program behind a target:  make demo DEMO_FLAGS="--smoke"   make test TEST_FLAGS="-n 2 -k tree"

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PACKAGES := alphallm_env agents experiments
INSTALLED := .venv/.installed
DEMO_FLAGS ?=
TEST_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: demo test check docs core format clean help

demo: $(INSTALLED)  ## Run the whole self-improvement loop with the tiny model
	.venv/bin/python -m experiments.self_improve --preset tiny --out runs/demo $(DEMO_FLAGS)

test: $(INSTALLED)  ## Run the tests
	.venv/bin/python -m pytest -q $(TEST_FLAGS)

check: $(INSTALLED)  ## Check format, lint, types, the examples in docstrings, and that the docs build
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -q --doctest-modules $(PACKAGES)
	@$(MAKE) --no-print-directory docs

docs: $(INSTALLED)  ## Build the documentation into build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet -f docs/site/mkdocs.yml

core:  ## Install without extras into .venv-core, and play an episode there
	$(PYTHON) -m venv --clear .venv-core
	.venv-core/bin/python -m pip install --quiet -c constraints.txt .
	.venv-core/bin/python tests/core_install.py

format: $(INSTALLED)  ## Format the code and apply the safe fixes of the linter
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:  ## Remove the environment, build products and caches; runs/ stays
	rm -rf .venv .venv-core build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

help:  ## List the targets
	@sed -nE 's/^([a-z]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet -c constraints.txt -e ".[dev,sb3,server,lora]"
	@touch $@
