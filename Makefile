# make run: a running platform. make test: lint, types, tests. Both work on a fresh clone.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE :=
# The certificates that this machine trusts, as for every other program on it.
export UV_SYSTEM_CERTS := true

.PHONY: run demo test lint types bench chaos soak dask audit lock clean

run: $(VENV)/.runtime
	@exec $(BIN)/fks up

demo: $(VENV)/.runtime
	@exec $(BIN)/fks demo

# Three workers on two processors: tests that start servers mostly wait.
test: $(VENV)/.dev lint types
	$(BIN)/python -m pytest -n 3 --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Orders, rebalance plans, tickets with exits: processes are killed while the exchange fails and the database dies.
# make chaos ARGS="--seed 17" makes the choices of an earlier run again.
chaos: $(VENV)/.dev
	$(BIN)/python -m tests.execution $(ARGS)

# What the nightly search on a Dask cluster needs (FKS_DASK_ADDRESS), here and on its workers.
dask: $(VENV)/.runtime
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dask.txt

# Known vulnerabilities of the pinned packages, by the advisories of osv.dev; needs the internet (CI skips it without).
audit: $(VENV)/bin/uv
	$(BIN)/uvx --from 'pip-audit>=2.9,<3' pip-audit --vulnerability-service osv --disable-pip --require-hashes -r requirements.txt

# Thirty simulated days of all chains with faults, restarts and people; compared with the exchange's books at the end.
# make soak ARGS="--days 3 --seed 17" makes fewer, and the choices of an earlier run again.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak $(ARGS)

# The pinned sets: names, versions and hashes, no download address.
COMPILE := $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
lock: $(VENV)/bin/uv
	$(COMPILE) -o requirements.txt
	$(COMPILE) --extra dask -c requirements.txt -o requirements-dask.txt
	$(COMPILE) --extra dask --group dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile -q --group installer --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-installer.txt

$(VENV)/bin/uv: requirements-installer.txt
	@test -n "$(PYTHON)" || { echo "FKS needs Python 3.11, 3.12 or 3.13; none was found. Install one, or name it: make run PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes -r requirements-installer.txt
	@touch $@

# Byte code is compiled at install: every scheduled run is a new process and would otherwise compile ccxt again.
$(VENV)/.runtime: $(VENV)/bin/uv requirements.txt pyproject.toml
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
