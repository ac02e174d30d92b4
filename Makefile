# diffexplain: two commands on a fresh machine are `make demo` and `make test`. `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that really runs and is new enough; `make PYTHON=/path/to/python ...` overrides it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
LOCK := requirements.lock.txt
# What the environment holds is what these two files say; the stamp is their checksum when it was last installed.
STAMP := $(VENV)/installed-$(shell cat $(LOCK) pyproject.toml | cksum | tr ' ' '-')

# The torch wheels are large: a slow line needs longer than uv's half a minute.
export UV_HTTP_TIMEOUT ?= 600
# Libraries are compiled by whoever imports them first, and kept: importing all that a run needs takes half the time then.
# Empty is unset, where an environment forbids it.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help install demo test lint format docs wheel world-check bench bench-full full-size tables doctor lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv and install the locked requirements and the package (editable)

# pip installs uv and setuptools alone, from the lock and by hash like everything else; uv installs the rest. No build
# isolation: a package that comes as source (antlr4-python3-runtime, this one) is built with the locked setuptools.
$(STAMP):
	@[ -n "$(PYTHON)" ] || { echo "diffexplain needs Python 3.11 or newer, and found none: install one, or name it with make PYTHON=..." >&2; exit 2; }
	[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	awk '/^[a-z]/ {wanted = /^(uv|setuptools)==/} wanted' $(LOCK) > $(VENV)/bootstrap.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/bootstrap.txt
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-build-isolation -r $(LOCK)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	rm -f $(VENV)/installed-*
	touch $@

demo: $(STAMP)  ## install, then explain what a classifier looks for in a flagpole, and write the report
	$(BIN)/python run.py

test: $(STAMP)  ## install, then run the tests
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal

lint: $(STAMP)  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## mend style and format where that is safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## build the documentation into build/docs; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml

wheel: $(STAMP)  ## build dist/diffexplain-<version>-py3-none-any.whl, which works without this repository
	rm -rf build/lib build/bdist.*
	$(BIN)/uv build --wheel --no-build-isolation --python $(BIN)/python

world-check: $(STAMP)  ## check the gates of the embedded world's trained parts (exit status 1 if one fails)
	$(BIN)/python -m experiments.world.check

bench: $(STAMP)  ## time the scene renderer, then a slice of ShortcutBench: known answers, several methods
	$(BIN)/python -m experiments.world.benchmark
	$(BIN)/python -m experiments.shortcut_bench.bench --slice --jobs 2

bench-full: $(STAMP)  ## all of ShortcutBench: hours on two cores; goes on where it stopped
	$(BIN)/python -m experiments.shortcut_bench.bench --jobs 2

full-size: $(STAMP)  ## every prior, CLIPSeg and CaffeNet at full size with random weights: hours, 50 GB; goes on where it stopped
	$(BIN)/python -m experiments.full_size.make

# Tables share runs: what one has made, the next reads back.
TABLES := dexter_table3 diffexplainer_figure3 diffexplainer_figure4 diffexplainer_figure5 diffex_table1 diffex_table2 \
	diffex_table3 diffex_figures4_7 dexter_table6

tables: $(STAMP)  ## remake the papers' tables and figures on the embedded world (40 minutes; what is finished is read back)
	$(BIN)/python -m experiments.diffexplainer_figure2.make_figure --profile world
	for table in $(TABLES); do $(BIN)/python -m experiments.$$table.make --profile world; done

doctor: $(STAMP)  ## check this machine and environment, and name what to do about a fault
	$(BIN)/python -m diffexplain.cli.doctor

lock: $(STAMP)  ## resolve the requirements anew, after a change of dependencies in pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
		--python-version 3.11 --extra dev --extra docs -o $(LOCK) pyproject.toml

clean:  ## remove the environment and the caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
