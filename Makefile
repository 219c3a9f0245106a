# Two commands, each complete by itself:
#
#   make suites   runs the mechanisms of the embedded checkpoint
#   make test     runs the project's own tests
#
# `make lint` has ruff and mypy, `make site` builds the documentation in site/.
# Each sets up what it needs in .venv the first time. ENVIRONMENT, PYTHON, WORKERS, TORCH and
# TORCH_INDEX can be given, as in `make suites PYTHON=python3.12 WORKERS=8`.

PYTHON ?= python3
ENVIRONMENT ?= .venv
WORKERS ?= 2
TORCH ?= torch==2.13.0

# On Linux the usual wheels are CUDA builds of several gigabytes: only for those who can use them.
CPU_WHEELS := https://download.pytorch.org/whl/cpu
ACCELERATORS := $(shell nvidia-smi -L 2>/dev/null)
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),$(if $(ACCELERATORS),,$(CPU_WHEELS)))

BIN := $(ENVIRONMENT)/bin
# Tests call `mmflow` and `pytest` by name.
export PATH := $(abspath $(BIN)):$(PATH)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: suites test lint site
.DEFAULT_GOAL := suites

suites: $(ENVIRONMENT)/suites.ready
	$(BIN)/pytest suites/ -n $(WORKERS)

test: $(ENVIRONMENT)/test.ready
	$(BIN)/pytest tests/ -n $(WORKERS) --dist loadfile

lint: $(ENVIRONMENT)/test.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Strictly: a link that leads nowhere is an error.
site: $(ENVIRONMENT)/site.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# First, and on its own: a later requirement must not bring another build.
$(ENVIRONMENT)/torch.ready:
	$(PYTHON) -m venv $(ENVIRONMENT)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	touch $@

$(ENVIRONMENT)/suites.ready: $(ENVIRONMENT)/torch.ready pyproject.toml
	$(PIP) --editable .
	touch $@

# What the tests marked `real` need are 250 MB of weights; they are skipped without.
$(ENVIRONMENT)/test.ready: $(ENVIRONMENT)/suites.ready pyproject.toml
	$(PIP) --editable '.[test]'
	$(PIP) --editable '.[real,report]' || echo 'some tests are skipped'
	$(PIP) --editable '.[remote,scale]' || echo 'tests of fleets and of S3 are skipped'
	touch $@

$(ENVIRONMENT)/site.ready: $(ENVIRONMENT)/suites.ready pyproject.toml
	$(PIP) --editable '.[site]'
	touch $@
