# `make demo` and `make test` set up everything they need; Python 3.11 to 3.14 and make are all that is asked for.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# LANE names a pair of Spark and Delta of fruitpipe/runtime/lanes.py; without it the pair is that of constraints.txt.
LANE :=
VENV := .venv$(addprefix -,$(LANE))
BIN := $(VENV)/bin
export FRUITPIPE_CACHE ?= $(HOME)/.cache/fruitpipe
export PIP_DISABLE_PIP_VERSION_CHECK := 1
MODEL := $(FRUITPIPE_CACHE)/mobilenetv2-1.0-224.tflite
DEMO := demo

## demo: draw pictures, ingest them, add some, ingest only those, refit, show the result
.PHONY: demo
demo: $(VENV)/ready $(MODEL)
	@$(BIN)/fruitpipe jars
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash demo.sh $(DEMO)
	@$(BIN)/python record_classes.py --behind

## pictures: those of the pages, taken of the demo's report, app and progress bar (by Chromium), into docs/
.PHONY: pictures
pictures: $(VENV)/ready-dev app
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m website.pictures $(DEMO)

## docs: README.md, docs/ and a reference made from the code as a site, with llms.txt, in dist/site; a link that breaks is an error
.PHONY: docs
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/ready-docs
	@$(BIN)/mkdocs build --strict --config-file website/mkdocs.yml
	@echo "dist/site/index.html; to read it with its search: $(BIN)/python -m http.server --directory dist/site"

## app: the demo's version as a page for a phone, in demo/app (then: python -m http.server --directory demo/app)
.PHONY: app
app: $(VENV)/ready $(MODEL)
	@$(BIN)/fruitpipe app --root $(DEMO)/root $(DEMO)/app

## test: all tests but the soaks (`make test ARGS="tests/unit"` for a part, `ARGS="-m soak"` for a seed of each soak, as CI has it,
## and `make test LANE=spark-4.2 ARGS="-m spark"` on another Spark)
.PHONY: test
test: $(VENV)/ready-dev $(MODEL)
	@$(BIN)/fruitpipe jars --s3
	@$(BIN)/python -c "from fruitpipe.app import litert; litert.files()"  # from npm, once
	@$(BIN)/python record_classes.py
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not soak" $(ARGS)

## lanes: on each other pair of Spark and Delta, the tests of what a pair may do otherwise (`make test LANE=…` for all that start Spark)
.PHONY: lanes lane
lanes: $(VENV)/ready-dev
	@lanes=$$($(BIN)/python -m fruitpipe.runtime.lanes); for lane in $$lanes; do $(MAKE) --no-print-directory lane LANE=$$lane ARGS="$(ARGS)"; done

lane: $(VENV)/ready-dev $(MODEL)
	@$(BIN)/fruitpipe jars
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m lane $(ARGS)

## soak: all that is killed, failed, spoilt or repeated on purpose, in an hour (`make soak SOAK=refit_kills ARGS="--rounds 5"` for one)
SOAK := model refit_kills ingest_kills small_run_kills histories s3_faults takeovers cold_warm_edit odd_pictures fuzz_pictures erasure packages
.PHONY: soak
# Spark is what is tried, but where a harness says otherwise.
soak: export FRUITPIPE_IMAGES_WITHOUT_SPARK ?= 0
soak: $(VENV)/ready-dev $(MODEL)
	@$(BIN)/fruitpipe jars --s3
	for harness in $(SOAK); do $(BIN)/python tests/soak/$$harness.py $(ARGS); done

## coverage: which lines of fruitpipe/ the tests run, those of jobs and of Spark's workers among them (`make coverage ARGS="tests/unit"`)
.PHONY: coverage
coverage: export SPARK_CONF_DIR = $(CURDIR)/tests/coverage
coverage: export PYTHONPATH = $(CURDIR)/tests/coverage
coverage: $(VENV)/ready-dev $(MODEL)
	@$(BIN)/fruitpipe jars --s3
	@$(BIN)/python -c "from fruitpipe.app import litert; litert.files()"
	$(BIN)/coverage erase
	@ended=0; $(BIN)/coverage run -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not soak" $(ARGS) || ended=$$?; \
	  $(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$ended

## mutants: small faults made in what decides and computes, one after the other, and whether its tests find them (mutmut)
.PHONY: mutants
mutants: $(VENV)/ready-mutants
	$(BIN)/mutmut run --max-children 2 $(ARGS)
	$(BIN)/mutmut results

## package: what a cluster's nodes and the Lambda functions need, for x86-64 and aarch64 and for EMR's release in PARAMETERS, into dist/
PARAMETERS ?= deploy/parameters.toml
.PHONY: package
package: $(VENV)/ready $(MODEL)
	@$(BIN)/python deploy/package.py dist $(MODEL) $(PARAMETERS)

## image: fruitpipe with Java, Spark and the model in a container image, by podman, buildah or docker (IMAGE is its name)
IMAGE ?= fruitpipe
BUILDER ?= $(firstword $(foreach name,podman buildah docker,$(if $(shell command -v $(name)),$(name))))
.PHONY: image
image:
	@[ -n "$(BUILDER)" ] || { echo "error: no podman, buildah or docker was found; install one, or name it: make image BUILDER=..." >&2; exit 1; }
	$(BUILDER) build --file deploy/Containerfile --tag $(IMAGE) $(ARGS) .

## deploy: the stack on AWS, created or updated (PARAMETERS=deploy/parameters.toml ARGS=--transient)
.PHONY: deploy
deploy: package
	@$(BIN)/python deploy/deploy.py up $(PARAMETERS) dist $(ARGS)

## destroy: the stack removed; images, and what was made of them, stay
.PHONY: destroy
destroy: $(VENV)/ready
	@$(BIN)/python deploy/deploy.py down $(PARAMETERS) dist $(ARGS)

## bench: the product beside other engines, three rounds, over two hours; interrupted, it goes on where it was
PEERS := .venv-peers
BEFORE := .venv-before
RESULTS := bench.jsonl
.PHONY: bench
bench: $(PEERS)/ready $(BEFORE)/ready $(VENV)/ready-dev $(MODEL)
	@$(BIN)/fruitpipe jars
	@$(BIN)/python record_classes.py
	$(BIN)/python benchmarks/compare.py throughput --peers $(PEERS)/bin/python --results $(RESULTS) $(ARGS)
	$(BIN)/python benchmarks/compare.py small --peers $(PEERS)/bin/python --results $(RESULTS)
	$(BIN)/python benchmarks/photographs.py run --peers $(PEERS)/bin/python --before $(BEFORE)/bin/python --results $(RESULTS)
	@$(BIN)/python benchmarks/compare.py table --results $(RESULTS)
	@$(BIN)/python benchmarks/photographs.py table --results $(RESULTS)
	$(BIN)/python benchmarks/photographs.py vectors
	$(BIN)/python benchmarks/photographs.py memory

## lint: ruff, mypy, the direction of imports, and hadolint for the container image
.PHONY: lint
lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --cache-dir .ruff_cache/imports
	$(BIN)/mypy
	$(BIN)/hadolint deploy/Containerfile
	MYPYPATH=lambda $(BIN)/mypy lambda  # apart: its modules find each other as Lambda unpacks them

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# A virtual environment with exactly the versions of constraints.txt, and a Java runtime where the machine has none.
$(VENV)/ready: pyproject.toml constraints.txt
	@bash setup.sh $(VENV) spark,see,model "$(LANE)"
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@$(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt --editable '.[spark,see,metrics,int8,heic,lance,lineage,dev]'
	@touch $@

$(VENV)/ready-docs: $(VENV)/ready
	@$(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt --editable '.[spark,see,model,docs]'
	@touch $@

$(VENV)/ready-mutants: $(VENV)/ready-dev
	@$(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt mutmut
	@touch $@

# The engines that the product is compared with, apart from it: they bring other versions of what it uses.
$(PEERS)/ready: benchmarks/requirements.txt $(VENV)/ready
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt
	@touch $@

# The build that camera photographs are compared with knows Spark 4.0 alone.
$(BEFORE)/ready: pyproject.toml constraints.txt
	@bash setup.sh $(BEFORE) spark,see spark-4.0
	@touch $@

# Lies outside the checkout: a second checkout, or a second demo, finds it built.
$(MODEL): | $(VENV)/ready
	@$(BIN)/fruitpipe model build $@
