# `make quickstart` and `make test` are complete on a fresh machine; both set up .venv first. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup test test-slow quickstart lint requirements bench gpu-correct gpu-speed

# EXTRAS=cuda120[,augment,int8,tensorboard,track,wandb]: more to install; ARGS="...": passed on to pytest or quickstart.
EXTRAS ?=
ARGS ?=
VENV := $(CURDIR)/.venv
PYTHON_IN_VENV := $(VENV)/bin/python
SETUP := tools/setup.sh

export PATH := $(VENV)/bin:$(PATH)
# The wheel's mpirun refuses root, which is what containers run as.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

setup: ## make .venv and install requirements.txt; EXTRAS=cuda120[,augment,int8,tensorboard,track,wandb] adds to it
	@$(SETUP) run "$(EXTRAS)"

quickstart: ## set up, render the shapes, train, test, draw and export in a few minutes (results in exp/quickstart)
	@$(SETUP) run "$(EXTRAS)"
	@$(PYTHON_IN_VENV) -m centernet quickstart $(ARGS)

test: ## set up and run the quick tests
	@$(SETUP) dev "$(EXTRAS)"
	@$(PYTHON_IN_VENV) -m pytest $(ARGS)

test-slow: ## the tests that the quick suite leaves out
	@$(SETUP) dev "$(EXTRAS)"
	@$(PYTHON_IN_VENV) -m pytest -m "slow and not gpu" $(ARGS)

lint: ## ruff and mypy
	@$(SETUP) dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy src/*.py src/tools benchmarks

# PYTHON=...: an interpreter that has NNabla, its CUDA extension and requirements-gpu.txt; without it .venv gets the extra cuda120.
GPU_PYTHON = $(or $(PYTHON),$(PYTHON_IN_VENV))
GPU_SETUP = $(if $(PYTHON),true,$(SETUP) run "$(or $(EXTRAS),cuda120)")

gpu-correct: ## on a GPU: whether it computes what it should, within eight minutes (exp/gpu); PYTHON=... uses that one
	@$(GPU_SETUP)
	@PYTHONPATH="$(CURDIR)/src$${PYTHONPATH:+:$$PYTHONPATH}" $(GPU_PYTHON) benchmarks/gpu_correct.py $(ARGS)

gpu-speed: ## on a GPU: how fast it trains and detects, beside PyTorch, within eight minutes (exp/gpu); PYTHON=... uses that one
	@$(GPU_SETUP)
	@PYTHONPATH="$(CURDIR)/src$${PYTHONPATH:+:$$PYTHONPATH}" $(GPU_PYTHON) benchmarks/gpu_speed.py $(ARGS)

bench: ## every script of benchmarks/, each ending in one JSON line per claim
	@$(SETUP) dev
	@status=0; for script in $$(grep -l __main__ benchmarks/*.py); do \
	  echo "== $$script"; $(PYTHON_IN_VENV) $$script || status=1; done; exit $$status

# No registry's address may get into the files, whatever pip is configured with here.
COMPILE := $(VENV)/bin/pip-compile --quiet --no-header --allow-unsafe --strip-extras --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options

requirements: ## compile requirements*.txt from setup.py; ARGS=--upgrade takes newer versions
	@$(SETUP) dev
	$(COMPILE) $(ARGS) --output-file requirements.txt setup.py
	@for extra in dev augment cuda120 int8 tensorboard track wandb; do echo "requirements-$$extra.txt"; \
	  $(COMPILE) $(ARGS) --extra $$extra --constraint requirements.txt --output-file requirements-$$extra.txt setup.py || exit 1; done
