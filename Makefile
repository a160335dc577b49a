# The targets are in tools/run.py, which also runs without make: `python tools/run.py book`. `make` alone lists them.
# Variables go to it as they are: make lab LAB_PORT=9000 BROWSER=0

PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help book pdf epub article serve lab student instructor course grade gpu-day lint test test-fast test-slow study bench bench-peers lock audit setup clean

help: ## list the targets
	@$(PYTHON) tools/run.py

book pdf epub article serve lab student instructor course grade gpu-day lint test test-fast test-slow study bench bench-peers lock audit setup clean:
	@$(PYTHON) tools/run.py $@

# The former name of `make setup`.
.venv/.ready: setup
