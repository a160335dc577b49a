# `make` alone lists the targets. Each one sets up .venv first where it is missing or out of date.

PYTHON ?= python3
PORT ?= 8000
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
AUDIT := .venv-audit
NOTEBOOKS := $(wildcard book/*.ipynb)

export TOKENIZERS_PARALLELISM = false
# Building and testing in the quick profile fetch nothing from the hub.
OFFLINE := $(if $(filter full,$(AFL_PROFILE)),,HF_HUB_OFFLINE=1)
BUILD := $(OFFLINE) $(BIN)/python tools/build_book.py --jobs $(JOBS)
# One thread a process: several run side by side.
PYTEST := $(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help book pdf serve lab student test test-fast test-slow study bench bench-peers lock audit clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) tools/make_environment.py $(VENV)

book: $(READY) ## execute every chapter, JOBS=2 at a time, and render the book into _build/html
	@$(BUILD)

pdf: book ## print the built book through Chromium into _build/afl-bert-book.pdf
	@$(BIN)/python tools/make_pdf.py

serve: $(READY) ## show the built book on localhost, compressed (PORT=8000)
	@$(BIN)/python tools/serve.py --port $(PORT)

lab: $(READY) ## open the chapters in JupyterLab
	@cd book && ../$(BIN)/jupyter lab index.ipynb

student: $(READY) ## write the chapters without solutions into _build/student
	@$(BIN)/python tools/make_student.py

test: $(READY) ## run every test that needs at most minutes: the build, the package, the chapters
	@$(BUILD)
	$(PYTEST) -m "not slow"
	$(PYTEST) --dist loadfile --nbval-lax --nbval-cell-timeout 600 $(NOTEBOOKS)

test-fast: $(READY) ## run the unit tests (under 3 minutes)
	$(PYTEST) -m "not slow and not packaging and not processes and not book"

test-slow: $(READY) ## run the tests that take long and are in no other target
	$(PYTEST) -m slow

study: $(READY) ## run a study, or go on with it (STUDY=name; without it the studies are listed)
	@$(BIN)/python -m afl_helpers study $(STUDY)

bench: $(READY) ## run every benchmark: a table of ratios against a named peer each
	@for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(PEERS)/.ready: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-peers: $(PEERS)/.ready ## tabulate what public implementations of the losses return
	@OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/peers/values.py

lock: $(READY) ## write requirements.lock from pyproject.toml (UPGRADE=1 takes newer versions)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

$(AUDIT)/.ready: tools/audit-requirements.txt
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

audit: $(READY) $(AUDIT)/.ready ## licences of what is installed, known vulnerabilities of what is locked
	@$(BIN)/python tools/audit.py $(AUDIT)

clean: ## remove the built book and its cache, and the environment
	rm -rf _build $(VENV) $(PEERS) $(AUDIT) *.egg-info
