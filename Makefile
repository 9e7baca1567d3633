# Two commands for newcomers: `make demo` and `make test`. Each sets up what it needs first; nothing is asked of the machine but Python and make.
# ARGS goes to the command: make demo ARGS="--exit --transactions 20000", make test ARGS="tests/features -k windows".

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow monitoring-test check bench faults airflow clean

BIN := .venv/bin
STAMP := .venv/.set-up
ROOMS := features models streams api infra
# Two files of tests at a time: much of what they do is waiting for services.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

help:
	@echo "make demo    see it at work: services, a model, workers, the API and a live stream of transactions"
	@echo "make test    run the tests"
	@echo "make test-slow  run long scenarios, and the benchmarks at their quickest: some ten minutes that make test leaves out"
	@echo "make monitoring-test  run alerting rules and dashboards against Prometheus, which it needs (apt-get install prometheus)"
	@echo "make check   format, lint, types, import contracts, tests"
	@echo "make bench   run every benchmark, an hour or more, and write docs/results; one alone: make bench ARGS=\"latency --quick\""
	@echo "make faults  kill, stall and cut off workers, broker and Redis under load for most of an hour, and judge what came of it"
	@echo "make airflow Airflow with the batch jobs, in an environment of its own; ARGS go to it instead of standalone"
	@echo "make setup   only make .venv with everything in it (the others do that first)"
	@echo "make clean   end the services and remove what make has made; .tidemark, the services' data, stays"

setup: $(STAMP)
	@:

$(STAMP): requirements.lock pyproject.toml infra/setup/environment.sh infra/setup/uv.txt infra/local/kafka-jars.sha256
	@sh infra/setup/environment.sh
	@touch $@

demo: setup
	@$(BIN)/tidemark demo $(ARGS)

test: setup
	@$(PYTEST) -m "not slow and not monitoring" $(ARGS)

test-slow: setup
	@$(PYTEST) -m slow $(ARGS)

# Rules and dashboards against Prometheus itself. PROMETHEUS_BIN names folders with prometheus and promtool, several parted by colons;
# else those on the PATH are used.
monitoring-test: setup
	@$(BIN)/python -m pytest -m monitoring $(or $(ARGS),tests/infra)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow and not monitoring" $(ARGS)

# Without a benchmark's name it runs all of them; they note what they found under docs/results.
bench: setup
	@$(BIN)/python -m tests.benchmarks $(if $(filter-out --%,$(firstword $(ARGS))),,all --results docs/results) $(ARGS)

faults: setup
	@$(BIN)/python -m tests.faults.campaign $(ARGS)

airflow: setup
	@$(BIN)/python -m infra.airflow $(or $(ARGS),standalone)

clean:
	@if [ -x $(BIN)/tidemark ]; then $(BIN)/tidemark down; fi
	rm -rf .venv .uv .peers .airflow .airflow.lock build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +
