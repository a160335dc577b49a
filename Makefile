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
.PHONY: help book pdf article gpu-day serve lab student instructor course grade lint test test-fast test-slow study bench bench-peers lock audit clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) tools/make_environment.py $(VENV)

book: $(READY) ## execute every chapter, JOBS=2 at a time, and render the book into _build/html
	@$(BUILD)

pdf: book ## print the built book through Chromium into _build/afl-bert-book.pdf
	@$(BIN)/python tools/make_pdf.py

article: $(READY) ## write the reproduction article from results/ into _build/article.pdf
	@$(BIN)/python tools/make_article.py

gpu-day: $(READY) ## measure and run all that needs a GPU, most worthwhile first, or go on with it (GPU_DAY=--plan: only how long)
	@$(BIN)/python tools/gpu_day.py $(GPU_DAY)

serve: ## show the built book on localhost (PORT=8000)
	@test -f _build/html/index.html || { echo "There is no built book yet; run \`make book\` first." >&2; exit 1; }
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(READY) ## open the chapters in JupyterLab
	@cd book && ../$(BIN)/jupyter lab index.ipynb

student: $(READY) ## write the chapters without solutions into student/, and keep what was changed there
	@$(BIN)/python tools/make_student.py student

instructor: $(READY) ## write the chapters with solutions, rubrics and keys into instructor/
	@$(BIN)/python tools/make_student.py instructor

course: $(READY) ## write slides, handouts, quizzes and plans of the sessions into _build/course
	@$(OFFLINE) $(BIN)/python tools/make_course.py --jobs $(JOBS)

grade: $(READY) ## run the checks of handed-in notebooks into a table (FOLDER=handed-in)
	@test -n "$(FOLDER)" || { echo "Name the folder: make grade FOLDER=handed-in" >&2; exit 1; }
	@$(OFFLINE) $(BIN)/python tools/grade.py "$(FOLDER)"

lint: $(READY) ## check style, types, spelling, notebooks, sizes and secrets (what a commit is checked for)
	@if git rev-parse --git-dir >/dev/null 2>&1; then PRE_COMMIT_HOME=$(VENV)/pre-commit $(BIN)/pre-commit run --all-files; \
	else echo "This is no git checkout, so there are no committed files to check."; fi

test: lint ## run every test that needs at most minutes: the checks, the build, the package, the chapters
	@$(BUILD)
	$(PYTEST) -m "not slow"
	$(PYTEST) --dist loadfile --nbval-lax --nbval-cell-timeout 600 $(NOTEBOOKS)

test-fast: lint ## run the checks and the unit tests (under 3 minutes)
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
