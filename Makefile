# Two commands do everything: `make demo` shows it, `make test` checks it.
# Both prepare `.venv` first; `make setup` alone does only that.
PYTHON := .venv/bin/python
# Processes for the types and the tests: the machines of CI have two cores.
PROCESSES ?= 2

.PHONY: help setup demo test lint bench bench-learning soak package clean

help:
	@echo "make demo     a whole campaign across real processes (about 4 minutes);"
	@echo "              HEATING=1, TERRITORY=1 or LEARNING=1: with other data;"
	@echo "              SERVE=1: its pages stay up, with a campaign to start (docs/operations.md)"
	@echo "make test     lint, types, layers and every test"
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

bench: setup
	.venv/bin/cadastre bench --write docs/benchmarks.md

bench-learning: setup
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.learning $(if $(ALL),--all)

soak: setup
	.venv/bin/pytest -m soak -q

package: setup
	sh deploy/build.sh .venv/bin/python

clean:
	rm -rf .venv build dist demo-out *.egg-info
