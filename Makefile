# Everything a person does in this checkout. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
READY := .venv/.ready
ENGINES := .venv-engines/.ready
PYTHON ?= python3.11
JOBS ?= 2
ARGS ?=

PIP_AUDIT ?= pip-audit@2.10.1
ADVISORIES ?=

.PHONY: test-page audit licences help setup demo images test test-images test-alerts test-chart test-cluster cluster-table test-engines faults faults-table fuzz lint types docs manifests check bench load clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(READY)  ## make .venv with every pinned dependency; does nothing where that is done

# The stamp is older than a lock file only after an update of ours.
$(READY): services/locks/dev.txt services/locks/uv.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "found no $(PYTHON), expected Python 3.11: install it, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setup: .venv on $$($(PYTHON) --version), and about 500 MB of pinned packages from your package index; once"
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r services/locks/uv.txt
	.venv/bin/uv pip sync --python $(PY) --require-hashes services/locks/dev.txt
	.venv/bin/uv pip install --quiet --python $(PY) --no-deps --editable .
	@touch $(READY)

demo: $(READY)  ## real Kafka, Valkey, Triton and three workers judge the samples; KEEP=1 leaves all of it up
	$(PY) -m omniguard demo $(if $(KEEP),--keep) $(ARGS)

test: $(READY)  ## the whole default suite, on the real parts; ARGS are pytest's
	$(PY) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

$(ENGINES): services/locks/engines.txt $(READY)
	@echo "setup: .venv-engines, about 3 GB of pinned packages for the torch engines; once"
	$(PYTHON) -m venv .venv-engines
	.venv/bin/uv pip sync --compile-bytecode --python .venv-engines/bin/python --require-hashes services/locks/engines.txt
	.venv/bin/uv pip install --quiet --python .venv-engines/bin/python --no-deps --editable .
	@touch $(ENGINES)

test-engines: $(ENGINES)  ## the torch engines against transformers' own generate, and in genuine Triton, on tiny random weights
	.venv-engines/bin/python -m pytest tests/engines $(ARGS)

faults: $(READY)  ## the fault tests in their long form; EVENTS=, KILLS=, REBALANCES=, OUTAGE= size it, FAULTS_SEED=N repeats a run
	FAULTS_EVENTS=$(or $(EVENTS),100000) FAULTS_KILLS=$(or $(KILLS),50) FAULTS_REBALANCES=$(or $(REBALANCES),50) \
	FAULTS_OUTAGE=$(or $(OUTAGE),20000) FAULTS_MEASURED=$(CURDIR)/out/faults.jsonl \
	$(PY) -m pytest tests/faults tests/unit/stages/test_outage.py tests/integration/test_triton_fleet.py -m "$(or $(ONLY),long or not long)" --timeout 14400 -s $(ARGS)

test-cluster: $(READY)  ## the chart on a real Kubernetes, two nodes: kt's, or yours (docs/cluster.md); make images first
	PYTHONPATH=services:tests $(PY) -m kubernetes $(ARGS)

images: $(READY)  ## the container images and their lists of contents, in out/images; BASE=IMAGE@sha256:... builds on your own base
	$(PY) -m images.build $(if $(BASE),--base $(BASE)) $(ARGS)

test-images: $(READY)  ## the images under the chart's security context, beside a genuine Kafka; builds what has changed first
	$(MAKE) --no-print-directory images ARGS=
	$(PY) -m pytest tests/images --timeout 900 $(ARGS)

cluster-table: $(READY)  ## write what `make test-cluster` measured into docs/cluster.md
	PYTHONPATH=services:tests $(PY) -m kubernetes.table out/cluster.jsonl

faults-table: $(READY)  ## write what `make faults` measured into docs/reliability.md
	PYTHONPATH=services:tests $(PY) -m faults.table out/faults.jsonl

test-alerts: $(READY)  ## the alert rules alone, by Prometheus' own promtool; PROMTOOL=/path names one, else it is brought once
	$(PY) -m pytest tests/unit/observability/test_alerts.py tests/unit/test_runbook.py $(ARGS)

test-page: $(READY)  ## docs/capacity.html in a real Chromium: on the PATH, or CHROMIUM=/path
	$(PY) -m pytest tests/browser $(ARGS)

test-chart: $(READY)  ## the Helm chart and k8s/ alone, with a scan for insecure settings; HELM=, KUBECTL=, CHECKOV= name others than the pinned
	$(PY) -m pytest tests/chart -m "long or not long" $(ARGS)

fuzz: $(READY)  ## all hostile input: every file of the corpus, 10,000 records; FUZZ_SEED=N draws other records
	FUZZ_MEDIA_EVERY=1 FUZZ_EVENTS=10000 $(PY) -m pytest tests/fuzz --timeout 1800 -n $(JOBS) --dist loadgroup $(ARGS)

lint: $(READY)  ## ruff: style, complexity, security, form
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: $(READY)  ## mypy, strict
	.venv/bin/mypy

docs: $(READY)  ## write the generated pages of docs/ anew
	$(PY) -m omniguard.reference docs
	$(PY) -m omniguard contract export
	$(PY) -m omniguard.observability.dashboards
	$(PY) -m deploy.files
	$(PY) -m deploy.chart

manifests: $(READY)  ## render k8s/ anew from the chart
	HELM=$$(PYTHONPATH=services:tests $(PY) -m helm) $(PY) -m deploy.manifests

check: lint types  ## lint, types, and generated pages that differ from the code
	$(PY) -m omniguard contract check
	$(PY) -m omniguard.reference --check docs
	$(PY) -m omniguard.observability.dashboards --check
	$(PY) -m deploy.files --check
	$(PY) -m deploy.chart --check
	$(PY) -m locks.licences --check

licences: $(READY)  ## write docs/licenses.md: the licence of every locked package
	$(PY) -m locks.licences

# pip-audit asks a service on the internet, and --strict fails where that does not answer; a folder is compared without asking.
audit: $(READY)  ## known vulnerabilities of every locked package; ADVISORIES=FOLDER of OSV files does it offline
	@if [[ -n "$(ADVISORIES)" ]]; then $(PY) -m locks.audit "$(ADVISORIES)"; else \
	for lock in worker triton-lite triton-torch; do echo "audit: services/locks/$$lock.txt"; \
	.venv/bin/uv tool run $(PIP_AUDIT) --strict --require-hashes --disable-pip -r services/locks/$$lock.txt; done; fi

bench: $(READY)  ## what the pipeline itself costs, with a guard that costs nothing
	$(PY) -m loadtests.bench $(ARGS)

load: $(READY)  ## a load test: SCENARIO=steady, burst, poison, slow, flood, video or soak; ARGS="--bootstrap HOST:PORT --tenants NAME" for what runs
	$(PY) -m loadtests run $(or $(SCENARIO),steady) $(ARGS)

clean:  ## remove .venv, caches and build outputs; what was downloaded once stays in the user's cache folder
	rm -rf .venv .venv-engines .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
