# All commands of the project. `make` alone lists them. Each check is defined here once: CI and
# pre-commit call these targets.
#
# ENV, MODEL and the other options count only on the command line (make up ENV=dev). A variable that
# was exported in the shell must never choose a cluster.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m framework

# The options of the verbs: MODEL=x becomes `--model x`, and EXIT_CODE=1 becomes `--exit-code`.
VALUES := MODEL ENGINE PLAN KEY TO SINCE FORMAT OUT PROFILE OWNER TAG SET TODAY FILE BASE FINDING REASON UNTIL
SWITCHES := YES JSON WHY EXIT_CODE FORCE
OPTIONS = $(call argument,ENV) $(foreach name,$(VALUES),$(call option,$(name))) \
	$(foreach name,$(SWITCHES),$(call switch,$(name))) $(patsubst %,'%=',$(UNKNOWN))

is_given = $(filter command line,$(origin $(1)))
flag = --$(shell echo $(1) | tr A-Z_ a-z-)
# Single quotes protect the value from the shell. An empty value is passed on, so that the verb
# rejects it: MODEL=$$UNSET must not mean every model.
argument = $(if $(is_given),'$(subst ','\'',$($(1)))')
option = $(if $(is_given),$(flag) $(argument))
# A switch is 1 or 0, because YES=no must not mean yes.
switch = $(if $(is_given),$(if $(filter-out 0 1,$($(1))),$(error $(1)=$($(1)): expected 1 or 0))$(if \
	$(filter 1,$($(1))),$(flag)))
# make itself accepts any variable. A misspelt one, as in `make up ENV=dev model=x`, is passed on as
# `model=`, so that the verb rejects it and suggests MODEL.
UNKNOWN = $(filter-out ENV $(VALUES) $(SWITCHES) PYTHON SHELL VENV WORKERS,$(foreach name,$(.VARIABLES),$(if \
	$(call is_given,$(name)),$(name))))

.PHONY: help
help:
	@echo 'Model catalog on Pulumi            make <verb> ENV=dev|staging|prod [MODEL=name|glob|label=value]'
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Everyday
.PHONY: up preview status outputs drift accept take refresh adopt destroy
up: $(VENV)/ready ## deploy an environment: preview, confirm, roll out, watch
preview: $(VENV)/ready ## show what up would change, with the forecast of each rollout
status: $(VENV)/ready ## show what runs now: versions, ready Pods, canaries
outputs: $(VENV)/ready ## show the stack's outputs, as last deployed
drift: $(VENV)/ready ## compare the cluster with the files and the last up; exit 16 if they differ [OUT=folder]
accept: $(VENV)/ready ## accept a finding of drift: write a rule, with a reason and a last day
take: $(VENV)/ready ## write live values that drift found into the catalog
refresh: $(VENV)/ready ## show drift and, after a yes, record what the cluster has
adopt: $(VENV)/ready ## take over existing objects of a model that others created [FORCE=1]
destroy: $(VENV)/ready ## delete everything that an environment has deployed

##@ Catalog
.PHONY: validate list explain diff affected render new bump import schema
validate: $(VENV)/ready ## show every error in every file, with file:line:column
list: $(VENV)/ready ## list the models: owner, profiles, image, replicas in each environment [PROFILE=x]
explain: $(VENV)/ready ## show where a value comes from [KEY=rollout.maxSurge]
diff: $(VENV)/ready ## compare two environments, or an environment with a commit: TO=prod or SINCE=main
affected: $(VENV)/ready ## list the models and environments that a change touches: SINCE=main [WHY=1]
render: $(VENV)/ready ## print the manifests of an environment, ready for kubectl [OUT=folder]
new: $(VENV)/ready ## add a model: a valid, commented file: MODEL=x PROFILE=y
bump: $(VENV)/ready ## set the image tag of a model, in its own file or in an environment: MODEL=x TAG=v2
import: $(VENV)/ready ## turn existing manifests into models, and check what they render: FILE=x.yaml
schema: $(VENV)/ready ## write the JSON Schemas and the reference of every setting

##@ Set-up
.PHONY: setup-pulumi
setup-pulumi: $(VENV)/ready ## build the pulumi CLI and its kubernetes provider (once)

##@ Local cluster
.PHONY: cluster-up cluster-down cluster-status
cluster-up: $(VENV)/ready ## build (once) and start the local cluster
cluster-down: $(VENV)/ready ## stop the local cluster; its data stays
cluster-status: $(VENV)/ready ## show the local cluster: processes, nodes, how to use kubectl

up preview status outputs drift accept take refresh adopt destroy \
validate list explain diff affected render new bump import schema \
setup-pulumi cluster-up cluster-down cluster-status:
	@$(RUN) $@ $(OPTIONS)

##@ Development
# One more than the cores of a small machine: many tests wait for a rollout.
WORKERS := 3

.PHONY: test test-full coverage check check-format check-types check-imports check-locks format bench golden \
	fields lock clean
test: $(VENV)/ready-dev ## run the tests, with a sample of the large grids
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m 'not grid' -rs

coverage: $(VENV)/ready-dev ## run the same tests and measure their coverage (takes two thirds longer)
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m 'not grid' -rs --cov --cov-report=term

test-full: $(VENV)/ready-dev ## run all tests, with the whole of the large grids; show the slowest tests
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -rs --durations 10 --hypothesis-profile full

check: check-format check-types check-imports check-locks ## run the four checks below

check-format: $(VENV)/ready-dev ## check the format and the lint rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

check-types: $(VENV)/ready-dev ## check the types
	$(VENV)/bin/mypy

check-imports: $(VENV)/ready-dev ## check which package may import which
	$(VENV)/bin/lint-imports

check-locks: $(VENV)/ready-dev ## check that the lock files are complete
	$(VENV)/bin/python tools/check_locks.py

format: $(VENV)/ready-dev ## format the code and apply the safe fixes of the linter
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/ready-dev ## measure the speed on generated catalogs
	$(VENV)/bin/python -m bench

golden: $(VENV)/ready-dev ## write the golden files again; review them as a diff
	$(VENV)/bin/python -m tools.write_golden

fields: $(VENV)/ready-dev ## write the field types that lightkube-models lacks, from a local cluster
	$(VENV)/bin/python -m tools.write_fields

lock: $(VENV)/ready-dev ## write the lock files again from pyproject.toml
	$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' pyproject.toml --group dev -c requirements.lock \
		-o requirements-dev.lock

clean: ## stop the local cluster; remove .venv and caches (state and cluster data stay)
	@if [ -x $(VENV)/bin/python ]; then $(RUN) cluster-down; fi
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

# Installs the lock file $(1) into $(VENV). `--no-deps`, because the lock is complete: without it, pip
# before 23.3 resolves an extra (coverage[toml]) again, and rejects its newest release, which has no
# hash in the lock. $(VENV) is created again after a change of the lock, and after an interrupted
# set-up, which leaves the file `incomplete`. A link is removed first: `--clear` would empty the
# folder that it leads to, which other checkouts may use.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'setup: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...'; exit 1; }
	@[ -x $(VENV)/bin/python ] && [ ! -e $(VENV)/incomplete ] && [ ! -e $@ ] \
		|| { [ ! -L $(VENV) ] || rm $(VENV); $(PYTHON) -m venv --clear $(VENV); } \
		|| { echo 'setup: python3 cannot make a virtual environment; install its venv module (Debian: python3-venv)'; exit 1; }
	@touch $(VENV)/incomplete
	@$(VENV)/bin/python -m pip install --quiet --progress-bar on --disable-pip-version-check \
		--no-deps --require-hashes -r $(1) \
		|| { echo 'setup: the packages of $(1) cannot be installed; run the same make again to retry'; exit 1; }
	@$(VENV)/bin/python -m pip check --disable-pip-version-check > $(VENV)/incomplete \
		|| { cat $(VENV)/incomplete; echo 'setup: $(1) does not fit together; run: make lock'; exit 1; }
	@rm $(VENV)/incomplete
endef

# If the Python of $(VENV) no longer exists, create it again.
ifeq ($(wildcard $(VENV)/bin/python),)
.PHONY: $(VENV)/ready
endif

$(VENV)/ready: requirements.lock
	@echo 'setup    .venv from requirements.lock (hash-locked; about half a minute, once)'
	$(call install,requirements.lock)
	@mkdir -p .state && touch $@

$(VENV)/ready-dev: requirements-dev.lock $(VENV)/ready
	@echo 'setup    test and lint tools from requirements-dev.lock'
	$(call install,requirements-dev.lock)
	@touch $(VENV)/ready $@
