# Two commands do everything on a fresh machine:
#   make demo    sets up, then makes a first augmented cohort from simulated subjects
#   make test    sets up, then runs every check and test

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo

# Each one a distribution of its own, found by its entry point; femur-density comes with setup.
PLUGINS := plugins/height-predictor plugins/monai-predictor plugins/onnx-only \
	plugins/torchio-affine plugins/total-density-validator

.PHONY: demo test setup dev lint clean

demo: setup
	$(BIN)/qctkit augment --plugin femur-density -n 16 --overwrite -o $(DEMO)/augmented.h5

test: dev lint
	$(BIN)/python -m pytest

setup: $(VENV)/installed
dev: $(VENV)/installed-dev

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# PyTorch comes first and alone: asked for by another package, a looser requirement would take
# a build with gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt plugins/femur-density/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . -e plugins/femur-density
	touch $@

$(VENV)/installed-dev: $(VENV)/installed $(PLUGINS:=/pyproject.toml)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]' $(PLUGINS:%=-e %)
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache
