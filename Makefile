# Two commands on a fresh machine: `make demo` and `make test`. Everything that they need, they set up themselves.
PYTHON ?= python3
SDK2 := 2.75.0
SDK3 := 3.0.0b2
SOAK_SECONDS ?= 1800
# On each core one, and on many not too many for what they wait for.
PYTEST_FLAGS ?= -n auto --maxprocesses=4 --dist worksteal
# In the order of the files, so that the longest begins early.
E2E_FLAGS ?= -n 2 --dist loadfile --no-loadscope-reorder
PIP_FLAGS := -q --disable-pip-version-check

.PHONY: demo demo-django test test-sdk2 test-sdk3 check bench e2e e2e-tools soak suites clean

.venv/.ready: pyproject.toml tests/requirements.txt Makefile
	$(PYTHON) -m venv .venv
	.venv/bin/pip install $(PIP_FLAGS) -r tests/requirements.txt "sentry-sdk==$(SDK2)" -e .
	touch $@

.venv-sdk3/.ready: pyproject.toml tests/requirements.txt Makefile
	$(PYTHON) -m venv .venv-sdk3
	.venv-sdk3/bin/pip install $(PIP_FLAGS) -r tests/requirements.txt "sentry-sdk==$(SDK3)" -e .
	touch $@

demo: .venv/.ready
	.venv/bin/python -m examples.demo starlette

demo-django: .venv/.ready
	.venv/bin/python -m examples.demo django

test: test-sdk2 test-sdk3

test-sdk2: .venv/.ready
	.venv/bin/python -m pytest -m "not e2e" $(PYTEST_FLAGS)

test-sdk3: .venv-sdk3/.ready
	.venv-sdk3/bin/python -m pytest -m "not e2e" $(PYTEST_FLAGS)

check: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# BENCH="--quick" and the like reach both runs; `.venv/bin/python -m tests.bench --help` says what there is.
bench: .venv/.ready .venv-sdk3/.ready
	.venv/bin/python -m tests.bench $(BENCH)
	.venv-sdk3/bin/python -m tests.bench $(BENCH)

e2e: .venv/.ready e2e-tools
	.venv/bin/python -m tests.e2e.install
	.venv/bin/python -m pytest -m e2e $(E2E_FLAGS)

# A browser and a Redis from Debian's packages, where they are missing; the servers install themselves into .e2e/.
e2e-tools:
	@command -v npm >/dev/null || { echo "The end-to-end tests need node and npm."; exit 1; }
	@if ! command -v chromium >/dev/null || ! command -v redis-server >/dev/null; then \
		if [ "$$(id -u)" -ne 0 ]; then echo "The end-to-end tests need chromium and redis-server."; exit 1; fi; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium redis-server >/dev/null; \
	fi

# Half an hour of mixed traffic with faults on uvicorn; its first third is the warm-up. The end-to-end tests have a short form.
soak: .venv/.ready
	.venv/bin/python -m tests.soak --seconds $(SOAK_SECONDS)

# The test suites of Starlette, FastAPI and Django, from their source distributions, bare and with every application wrapped.
suites: .venv/.ready
	.venv/bin/python -m tests.suites

clean:
	rm -rf .venv .venv-sdk3 .e2e .asgi_rota_sentry
