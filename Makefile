# Quantum Trading Matrix. Needs only Python 3.11 or 3.12 and make; everything else is fetched into .venv and .tools.
#
#   make setup              the environment, from uv.lock, and the engines as machine code (without it: AHEAD=no)
#   make demo               history -> checks -> backtests -> weights -> report -> paper fills
#   make demo ARCHIVE=DIR   the same on a local mirror of Binance's public archive
#   make test               the tests (make test-slow: soak, fuzz and long replays too)
#   make check              lint, format, types, import contracts
#   make ui                 Dagster's UI on http://127.0.0.1:3000
#   make bench              side by side with the peers
#   make clean              remove everything the targets made

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check ui bench clean

VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
ARCHIVE ?=
AHEAD ?= yes
# Two processes share the tests, each file whole in one of them; `make test BESIDE=` for one process.
BESIDE ?= -n 2 --dist loadfile
export UV_PYTHON_DOWNLOADS := never
export GX_ANALYTICS_ENABLED := false
export DAGSTER_DISABLE_TELEMETRY := yes
# Heavy libraries start twice as fast from their compiled form, which this variable would keep from being saved.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n 's/^#   make/  make/p' Makefile

# The first interpreter that really runs and is 3.11 or 3.12 (a version manager's shim may exist and not run).
PYTHON = $(shell for p in $(BIN)/python python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1 \
	&& "$$p" -c 'import sys; print(sys.executable)' && break; done)

.tools/bin/uv:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or 3.12 found on PATH -> install one, then run make again"; exit 1; }
	@echo "uv not found: installing it into .tools"
	@"$(PYTHON)" -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"

$(VENV)/.synced: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or 3.12 found on PATH -> install one, then run make again"; exit 1; }
	@$(UV) sync --frozen --quiet --python "$(PYTHON)"
	@touch $@

setup: $(VENV)/.synced
	@test "$(AHEAD)" = no || $(BIN)/qtm compile --shared
	@$(BIN)/python -c 'import sys; print("ready: Python %d.%d in .venv" % sys.version_info[:2])'

demo: $(VENV)/.synced
	@$(BIN)/qtm demo $(if $(ARCHIVE),--archive "$(ARCHIVE)")

test: $(VENV)/.synced
	@$(BIN)/pytest $(BESIDE)

test-slow: $(VENV)/.synced
	@$(BIN)/pytest $(BESIDE) -m "slow or not slow" --timeout 1800

check: $(VENV)/.synced
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

ui: $(VENV)/.synced
	@mkdir -p .dagster
	@DAGSTER_HOME="$(CURDIR)" $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(or $(PORT),3000)

bench: $(VENV)/.synced
	@$(BIN)/python -m benchmarks

clean:
	@rm -rf $(VENV) .tools .dagster var .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
