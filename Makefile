# Two commands do everything: `make demo` shows it, `make test` checks it.
# Both prepare `.venv` first; `make setup` alone does only that.
PYTHON := .venv/bin/python
# Processes for the types and the tests: the machines of CI have two cores.
PROCESSES ?= 2

.PHONY: help setup demo test lint screens bench bench-learning soak package clean

help:
	@echo "make demo     a whole campaign across real processes (about 4 minutes);"
	@echo "              HEATING=1, TERRITORY=1 or LEARNING=1: with other data;"
	@echo "              SERVE=1: its pages stay up, with a campaign to start (docs/operations.md)"
	@echo "make test     lint, types, layers and every test"
	@echo "make screens  draw the pictures of docs/screens.md anew (needs Chromium)"
	@echo "make setup    prepare .venv only"
	@echo "make package  the offline tar for city computers"
	@echo "make bench    measure, and write docs/benchmarks.md"
	@echo "make bench-learning   federated learning beside published figures (below an hour on two"
	@echo "              cores, goes on where it was; ALL=1: lines of which nothing is asked too)"

setup: .venv/ready

.venv/ready: pyproject.toml setup.cfg setup.sh $(wildcard protos/cadastre/v1/*.proto)
	@sh setup.sh

demo: setup
	@$(PYTHON) -m demo

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --num-workers $(PROCESSES)
	.venv/bin/lint-imports --no-cache

test: lint
	.venv/bin/pytest -m "not soak and not package" -q --numprocesses $(PROCESSES)

# What draws compares in every other run: a page that changed fails until this was done.
screens: setup
	SCREENS=docs/screens CADASTRE_BROWSER=required .venv/bin/pytest -q -n 0 \
	  tests/web_scheduler/test_every_page_browser.py::test_a_page_is_for_everybody \
	  tests/web_scheduler/test_walk_browser.py
	.venv/bin/pytest -q -n 0 tests/web_scheduler/test_pictures.py

bench: setup
	.venv/bin/cadastre bench --write docs/benchmarks.md

bench-learning: setup
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.learning $(if $(ALL),--all)

soak: setup
	.venv/bin/pytest -m soak -q -o faulthandler_timeout=3600

package: setup
	sh deploy/build.sh .venv/bin/python

clean:
	rm -rf .venv build dist demo-out *.egg-info
