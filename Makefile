# make demo               Label Studio and the backend on this machine, a project ready (TILE=my.tif PORT=8080 MODEL=... to choose)
# make test               all tests, the one in a real browser included (ARGS="-k rle" to choose)
# make check              lint, format, types, import layers
# make clean              removes what the above made, except the annotations (delete the folder demo yourself)
#
# Everything lives in this folder: .uv (uv itself, where it is not installed), .venv, .venv-label-studio, demo.

SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8080
BACKEND_PORT ?= 9090
TILE ?=
MODEL ?=
ARGS ?=

UV := $(shell command -v uv || echo .uv/bin/uv)
BIN := .venv/bin
# One file says that .venv agrees with the lock and with the entry points of pyproject.toml.
STAMP := .venv/installed

.PHONY: demo test check clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/rsiseg up --data-dir demo --port $(PORT) --backend-port $(BACKEND_PORT) \
	  $(if $(MODEL),--model "$(MODEL)") $(if $(TILE),"$(TILE)")

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf .uv .venv .venv-label-studio artifacts .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find backend converters tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit("%s is Python %d.%d; expected 3.11 or later; run make with PYTHON=python3.12 or another one" \
	  % (sys.executable, *sys.version_info[:2]) if sys.version_info < (3, 11) else 0)'
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --python $(BIN)/python requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --editable .
	touch $@

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv
