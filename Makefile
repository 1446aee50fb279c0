# Targets are the steps CI takes; bare `make` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
# Of the fault runs; give others on the command line: make chaos DURATION=600 SEED=11
DURATION := 60
SEED := 7
WORKERS := 3
BLOCK := 600
EVENTS := 20000
RECORDS := 1000000

.PHONY: bench bench-e2e bench-inbox bench-ingest bench-sinks bench-stream chaos chaos-api chaos-ingest clean drill-history flood fuzz-ingest help idle-ingest install lint pictures run soak test test-long test-operate

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

install: $(VENV)/.installed  ## make .venv with everything tocsin and its tests need

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tocsin needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV) (first time: a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: install  ## start the whole pipeline on this machine and watch alerts flow (Ctrl-C stops it)
	@$(BIN)/tocsin up

# Two at a time: most tests wait. A file stays in one process, which has its own Kafka.
test: install lint  ## everything CI checks: lint, types, import rules, all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not long"

# One after the other: a drill on a machine that is busy with another takes longer than operators would wait.
test-operate: install  ## every drill, a real migration to more partitions, and the whole flow through TLS and SCRAM with kills (10 minutes)
	@$(BIN)/python -m pytest -m long tests/system/test_drill.py tests/system/test_secured.py tests/system/test_doctor_chaos.py tests/integration/test_growth.py

test-long: install  ## the tests that take a minute or more each
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m long

lint: install  ## formatting, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chaos: install  ## break the stream at random and count what is lost or doubled (DURATION=60 SEED=7 WORKERS=3)
	@$(BIN)/python -m sandbox.chaos --duration $(DURATION) --seed $(SEED) --workers $(WORKERS)

chaos-api: install  ## take the Alert API away while events flow: are the urgent told, and all completed later? (BLOCK=600 EVENTS=20000)
	@$(BIN)/python -m sandbox.chaos_api --block $(BLOCK) --events $(EVENTS) --seed $(SEED)

chaos-ingest: install  ## break ingest and its broker at random and count what was answered 200 and lost (DURATION=60 SEED=7)
	@$(BIN)/python -m sandbox.chaos_ingest --duration $(DURATION) --seed $(SEED)

flood: install  ## send a channel more than it takes: is the urgent one told, does nothing go missing? (LOW=200000 URGENT=1 AT=end KILL=0)
	@$(BIN)/python -m sandbox.flood --low $(or $(LOW),$(if $(URGENT),0,200000)) --urgent $(or $(URGENT),1) --at $(or $(AT),end) --kill $(or $(KILL),0)

drill-history: install  ## a large past with gaps in it: are they all found and mended, and does a replay hold up what is new? (RECORDS=1000000 SEED=7)
	@$(BIN)/python -m sandbox.drill_history --records $(RECORDS) --seed $(SEED)

fuzz-ingest: install  ## send ingest mutated requests on a real socket; no answer may be broken (SECONDS=60 SEED=1)
	@$(BIN)/python tests/ingest/fuzz.py $(or $(SECONDS),60) $(SEED)

idle-ingest: install  ## hold CONNECTIONS=10000 idle connections against one worker and show what they cost
	@$(BIN)/python tests/ingest/idle.py $(or $(CONNECTIONS),10000)

bench: install  ## every benchmark, short, one after the other; a table and JSON in bench/results
	@$(BIN)/python -m bench.everything

soak: install  ## does anything grow? the whole pipeline at a steady rate, memory watched (MINUTES=30 RATE=50)
	@$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),30) --rate $(or $(RATE),50)

bench-ingest: install  ## acknowledged requests per second of ingest beside the usual endpoint and a bare ASGI callable
	@$(BIN)/python -m bench.ingest

bench-inbox: install  ## from the webhook to 200 open pages of the bell, at 200 events/s
	@$(BIN)/python -m bench.inbox

pictures: install  ## take the pictures of the docs anew (needs Chromium)
	@$(BIN)/python -m sandbox.pictures

bench-e2e: install  ## from the webhook to a receiver at 200, 1,000 and 3,000 events/s, everything on this machine
	@$(BIN)/python -m bench.e2e

bench-sinks: install  ## posts per second of a sink, events into digests, the wait of urgent ones past a backlog
	@$(BIN)/python -m bench.sinks

bench-stream: install  ## events per second of the stream beside the textbook Faust agent and a bare aiokafka loop
	@$(BIN)/python -m bench.stream

clean:  ## remove what `make` made; the data folder stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
