# SPDX-License-Identifier: GPL-3.0-or-later
# `make help` lists what there is to do: every target whose line carries "## what it does".
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The interpreter that users run, not another that may come first on a developer's PATH.
PYTHON := /usr/bin/python3
PYTEST := $(PYTHON) -m pytest
TOOLS := .venv/bin
# What only root may do; nothing where we are root already.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
# Pass options to pytest: make test ARGS="-k durable -x"
ARGS ?=
# What `make test-sid` is for, by Debian's name.
SUITE ?= sid

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## build a Debian guest on a loop-mounted image, sync it, damage it, repair it (installs what it needs)
	tests/install-needs demo
	$(AS_ROOT) demo/run

.PHONY: test
test: ## install what the tests need and run all of them (root; much longer than `check`)
	tests/install-needs check test
	$(AS_ROOT) tests/run $(ARGS)

.PHONY: check
check: ## the quick subset for someone who edits: unit tests, linters and types; no root
	tests/install-needs check
	tests/run $(ARGS) tests/unit

.PHONY: lint
lint: ## linters and types alone
	tests/install-needs check
	$(PYTEST) -q tests/unit/test_lint.py tests/unit/test_layers.py

.PHONY: pages
pages: ## write what is made from the problem table and the tree: manual, schema, docs, HACKING
	$(PYTHON) -m tests.support.problem_pages

.PHONY: format
format: ## format the Python code, repair what ruff can, add missing licence lines
	tests/install-needs check
	$(PYTHON) -m tests.support.licences
	$(TOOLS)/ruff check --fix-only .
	$(TOOLS)/ruff format .

.PHONY: test-tree
test-tree: ## tests on loop-mounted images with real GRUB (root)
	tests/install-needs check test
	$(AS_ROOT) tests/run $(ARGS) tests/tree

.PHONY: test-package
test-package: ## tests of the .deb in Debian trees (root)
	tests/install-needs check test
	$(AS_ROOT) tests/run $(ARGS) tests/package

.PHONY: test-service
test-service: ## tests of the units in a booted systemd (root)
	tests/install-needs check test
	$(AS_ROOT) tests/run $(ARGS) tests/service

.PHONY: test-xen
test-xen: ## all tests on a real Xen, emulated by QEMU (root; hours; `test` has the short ones)
	tests/install-needs check test
	$(AS_ROOT) tests/run $(ARGS) tests/xen tests/xen/long_*.py

.PHONY: test-sid
test-sid: ## the .deb, its build with unit tests, and the service on sid, or on SUITE=forky (root)
	tests/install-needs check test
	$(AS_ROOT) env SUITES=$(SUITE) tests/run $(ARGS) -k $(SUITE) tests/package tests/service

.PHONY: test-sponsor
test-sponsor: ## piuparts, and builds under varied conditions (root)
	tests/install-needs check test sponsor
	$(AS_ROOT) tests/run $(ARGS) tests/package/long_sponsor.py

.PHONY: reliability
reliability: ## kill, fill and race it at every point: the long sweeps (root)
	tests/install-needs check test
	$(AS_ROOT) tests/apart tests/reliability/run $(ARGS)

.PHONY: bench
bench: ## measure speed and memory, as ratios in one run (root)
	tests/install-needs check test
	$(AS_ROOT) tests/apart bench/run $(ARGS)

.PHONY: deb
deb: ## build the Debian package into dist/
	tests/install-needs deb
	debian/build

.PHONY: clean
clean: ## remove what was built; .cache/ (Debian trees) stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.cache/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove what was cached, too
	$(AS_ROOT) rm -rf .cache .venv
