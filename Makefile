# The front door: every verb is here, and each check is defined here once; CI and pre-commit call it.
#
# ENV, MODEL and the other options count only when given on the command line (make up ENV=dev):
# an inherited environment variable must never choose a cluster.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m framework

given = $(if $(filter command line,$(origin $(1))),$($(1)))
# An option given empty is passed on empty, to be refused: MODEL=$$UNSET must not mean every model.
quoted = '$(subst ','\'',$($(1)))'
option = $(if $(filter command line,$(origin $(1))),--$(2) $(call quoted,$(1)))
# A switch is 1 or 0: YES=no must not mean yes.
switch = $(if $(filter-out 0 1,$(call given,$(1))),$(error $(1)=$($(1)): expected 1 or 0))$(if \
	$(filter 1,$(call given,$(1))),--$(2))
# make would let a misspelt option pass in silence, and `model=x` must not mean every model: what is
# no option here is passed on as it is, `model=`, for the verb to refuse it with the nearest it takes.
KNOWN := ENV MODEL ENGINE KEY TO SINCE FORMAT OUT PROFILE OWNER TAG SET TODAY YES JSON WHY EXIT_CODE \
	PYTHON SHELL VENV
UNKNOWN = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(filter-out \
	$(KNOWN),$(name))))
OPTIONS = $(if $(filter command line,$(origin ENV)),$(call quoted,ENV)) $(call option,MODEL,model) $(call option,ENGINE,engine) \
	$(call option,KEY,key) $(call option,TO,to) $(call option,SINCE,since) \
	$(call option,FORMAT,format) $(call option,OUT,out) $(call option,PROFILE,profile) \
	$(call option,OWNER,owner) $(call option,TAG,tag) $(call option,SET,set) \
	$(call option,TODAY,today) $(call switch,YES,yes) $(call switch,JSON,json) \
	$(call switch,WHY,why) $(call switch,EXIT_CODE,exit-code) $(patsubst %,'%=',$(UNKNOWN))

.PHONY: help
help:
	@echo 'Model catalog on Pulumi            make <verb> ENV=dev|staging|prod [MODEL=name|glob|label=value]'
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Everyday
.PHONY: up preview status outputs drift refresh destroy
up: $(VENV)/ready ## deploy an environment: preview, confirm, roll out, watch
preview: $(VENV)/ready ## what up would change, with the rollout forecast
status: $(VENV)/ready ## what runs now: versions, ready Pods, canaries
outputs: $(VENV)/ready ## the stack's outputs, as last deployed
drift: $(VENV)/ready ## compare the cluster with the recorded state
refresh: $(VENV)/ready ## bring the recorded state to what the cluster has
destroy: $(VENV)/ready ## delete everything of an environment

##@ Catalog
.PHONY: validate list explain diff affected render new bump schema
validate: $(VENV)/ready ## every fault in every file, with file:line:column
list: $(VENV)/ready ## the models: owner, profiles, image, replicas in each environment [PROFILE=y]
explain: $(VENV)/ready ## where a value comes from: MODEL=x ENV=prod [KEY=rollout.maxSurge]
diff: $(VENV)/ready ## two environments (TO=prod), or what changed (SINCE=main)
affected: $(VENV)/ready ## the models and environments that a change touches: SINCE=main [WHY=1]
render: $(VENV)/ready ## the manifests of an environment, as kubectl takes them [OUT=folder]
new: $(VENV)/ready ## add a model: MODEL=x PROFILE=y
bump: $(VENV)/ready ## set a model's image tag: MODEL=x TAG=v2 [ENV=prod]
schema: $(VENV)/ready ## write the JSON Schemas and the reference of every setting

##@ Local cluster
.PHONY: cluster-up cluster-down cluster-status
cluster-up: $(VENV)/ready ## build (once) and start the local cluster
cluster-down: $(VENV)/ready ## stop the local cluster; its data stays
cluster-status: $(VENV)/ready ## the local cluster: processes, nodes, how to use kubectl

up preview status outputs drift refresh destroy \
validate list explain diff affected render new bump schema \
cluster-up cluster-down cluster-status:
	@$(RUN) $@ $(OPTIONS)

##@ Development
.PHONY: test test-full check format bench golden fields lock clean
test: $(VENV)/ready-dev ## the tests a fresh machine can run, with a sample of the large grids
	$(VENV)/bin/python -m pytest -n 2 --dist loadgroup -m 'not grid' -rs --cov --cov-report=term

test-full: $(VENV)/ready-dev ## all tests, the large grids whole; prints its time
	$(VENV)/bin/python -m pytest -n 2 --dist loadgroup -rs --durations 10

check: $(VENV)/ready-dev ## format, lint, types, layers, lock files
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python tools/check_locks.py

format: $(VENV)/ready-dev ## write what the formatter and the linter's safe fixes say
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/ready-dev ## measure against the targets, on generated catalogs
	$(VENV)/bin/python -m bench

golden: $(VENV)/ready-dev ## write the golden renders anew; review them as a diff
	$(VENV)/bin/python -m tools.write_golden

fields: $(VENV)/ready-dev ## write the fields that a patch may set anew, as a local cluster has them
	$(VENV)/bin/python -m tests.kube.write_fields

lock: $(VENV)/ready-dev ## write the lock files anew from pyproject.toml
	$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' pyproject.toml --group dev -c requirements.lock \
		-o requirements-dev.lock

clean: ## stop the local cluster; remove .venv and caches (state and cluster data stay)
	@if [ -x $(VENV)/bin/python ]; then $(RUN) cluster-down; fi
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

# Installs the lock file $(1) into $(VENV). `--no-deps`, because the lock is complete: pips before 23.3
# otherwise resolve an extra (coverage[toml]) again and refuse its newest release. $(VENV) is made from
# scratch where an earlier lock was installed, or where `incomplete` says that a set-up was cut short.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'setup: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...'; exit 1; }
	@[ -x $(VENV)/bin/python ] && [ ! -e $(VENV)/incomplete ] && [ ! -e $@ ] \
		|| $(PYTHON) -m venv --clear $(VENV) \
		|| { echo 'setup: python3 cannot make a virtual environment; install its venv module (Debian: python3-venv)'; exit 1; }
	@touch $(VENV)/incomplete
	@$(VENV)/bin/python -m pip install --quiet --progress-bar on --disable-pip-version-check \
		--no-deps --require-hashes -r $(1) \
		|| { echo 'setup: the packages of $(1) cannot be installed; run the same make again to retry'; exit 1; }
	@$(VENV)/bin/python -m pip check --disable-pip-version-check > $(VENV)/incomplete \
		|| { cat $(VENV)/incomplete; echo 'setup: $(1) does not fit together; run: make lock'; exit 1; }
	@rm $(VENV)/incomplete
endef

# A virtual environment whose Python is gone is made again.
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
