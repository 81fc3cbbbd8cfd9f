# Everything is installed into .venv and nowhere else. `make` lists what can be made.
# PYTHON chooses the interpreter (make PYTHON=python3.12 test), ARGS goes to pytest (make test ARGS="-k fetch"),
# JOBS says how many processes test (make test JOBS=8).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules

PYTHON ?= python3
ARGS ?=
JOBS ?= 2
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# The groups "test", "lint" and "docs" of pyproject.toml, named here because pip before 25.1 can't read groups.
TEST_TOOLS := coverage flask flask-cors hypothesis moto[s3] opencv-python-headless pygls pytest pytest-timeout pytest-xdist s3fs tensorboard torchao uv
LINT_TOOLS := import-linter mypy ruff types-jsonschema types-pyyaml
DOCS_TOOLS := mkdocs-material

.PHONY: help
help:
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 14

.PHONY: demo
demo: .venv/train.stamp ## fetch a few clips, then train a tiny model on them and draw clips with it
	$(BIN)/recipe fetch recipes/quickstart.yaml
	$(BIN)/recipe run recipes/quickstart.yaml

JUDGE = $(BIN)/python benchmarks/judge.py

.PHONY: learn
learn: .venv/test.stamp ## teach a small model shapes, colors and directions, and judge what it draws
	$(BIN)/recipe fetch recipes/learn.yaml
	$(BIN)/recipe fetch recipes/learn/bar.yaml
	$(BIN)/recipe run recipes/learn.yaml
	$(BIN)/python benchmarks/draw.py runs/learn/export recipes/learn/prompts.json runs/learn/unguided --guidance 1
	$(BIN)/recipe run recipes/learn/bar.yaml
	$(BIN)/recipe run recipes/learn/bar_full.yaml
	$(BIN)/recipe run recipes/learn/i2v.yaml
	$(JUDGE) runs/learn/unguided
	$(JUDGE) runs/learn/validation/step-00006000 --sheet runs/learn/sheet.png
	$(JUDGE) runs/learn-bar/validation/step-00000200 --only bar
	$(JUDGE) runs/learn-bar/validation/step-00000200 --without bar
	$(JUDGE) runs/learn-bar-full/validation/step-00000200 --only bar
	$(JUDGE) runs/learn-bar-full/validation/step-00000200 --without bar
	$(JUDGE) runs/learn-i2v/validation/step-00000300
	$(BIN)/python -m pytest -m slow tests/runtime/test_taught.py

.PHONY: test
test: .venv/test.stamp ## run the tests, without the slow ones
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(ARGS)

.PHONY: slow
slow: .venv/test.stamp ## run the tests that take more than ten seconds each: several processes, kills, a browser
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow $(ARGS)

.PHONY: coverage
coverage: .venv/test.stamp ## run the tests of schema and compiler, and fail if they leave a line or branch out
	$(BIN)/python -m coverage run -m pytest tests/schema tests/compiler $(ARGS)
	$(BIN)/python -m coverage report

.PHONY: lint
lint: .venv/lint.stamp ## check style, types, import contracts and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/recipe schema | diff -u schema/recipe.schema.json - \
	    || { echo "schema/recipe.schema.json is stale; run \`make schema\` and commit it" >&2; exit 1; }
	@$(BIN)/recipe schema webhook | diff -u schema/webhook.schema.json - \
	    || { echo "schema/webhook.schema.json is stale; run \`make schema\` and commit it" >&2; exit 1; }
	$(BIN)/python -m recipe_compiler.docs --check

.PHONY: format
format: .venv/lint.stamp ## format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: schema
schema: .venv/train.stamp ## write the JSON Schemas of the recipe language and of webhooks
	$(BIN)/recipe schema > .venv/recipe.schema.json
	$(BIN)/recipe schema webhook > .venv/webhook.schema.json
	mv .venv/recipe.schema.json .venv/webhook.schema.json schema/

.PHONY: docs
docs: .venv/train.stamp ## write the reference pages of the language and of findings
	$(BIN)/python -m recipe_compiler.docs

.PHONY: site
site: .venv/docs.stamp ## build the pages of docs/ as a site in site/; nothing in it is loaded from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html, or, to search as well: $(BIN)/python -m http.server --directory site"

.PHONY: clean
clean: ## remove .venv and caches; data, models, store and runs stay
	rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find schema compiler runtime tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv .venv

# Stamps: what is installed changes only with these two files.
.venv/train.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[train,8bit]'
	touch $@

.venv/test.stamp: .venv/train.stamp
	$(INSTALL) $(TEST_TOOLS)
	touch $@

.venv/lint.stamp: .venv/test.stamp
	$(INSTALL) $(LINT_TOOLS)
	touch $@

.venv/docs.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) $(DOCS_TOOLS)
	touch $@
