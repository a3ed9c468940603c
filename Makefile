# make run    the whole of Nightshift on this machine
# make test   every test, from nothing
# make check  what can be said without running anything
# make prove  the long proofs: the protocol's model, the benchmarks
PYTHON ?= python3
VENV := .venv

.PHONY: run test check prove bench lock clean
.DELETE_ON_ERROR:

run: $(VENV)/ready $(VENV)/engine/ready
	@$(VENV)/bin/python -m local.run

test: $(VENV)/ready $(VENV)/engine/ready
	$(VENV)/bin/python -m pytest -m "not stack"
	$(VENV)/bin/python -m pytest -m stack

check: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# One claim: make bench BENCH=sync_memory
BENCH ?= sync_memory
bench: $(VENV)/ready
	@PYTHONPATH=functions/api:functions/worker $(VENV)/bin/python -m bench.$(BENCH) | grep -v '^{"level"'

prove: $(VENV)/ready
	for bench in $$(grep -l '^"""Claim' bench/*.py); do $(MAKE) bench BENCH=$$(basename $$bench .py) || exit 1; done
	$(VENV)/bin/python docs/protocol_model.py bfs
	$(VENV)/bin/python docs/protocol_model.py bfs --set W=5
	$(VENV)/bin/python docs/protocol_model.py walk --seconds 60

$(VENV)/ready: local/requirements/dev.txt pyproject.toml
	@echo "Setting up $(VENV) (about a minute, only when requirements change) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Nightshift needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.13")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r local/requirements/dev.txt
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The AWS engine pins its own botocore, so it gets an environment of its own.
$(VENV)/engine/ready: local/requirements/engine.txt $(VENV)/ready
	@echo "Setting up the local AWS engine (half a minute, only when its requirements change) …"
	@$(PYTHON) -m venv $(VENV)/engine
	@$(VENV)/engine/bin/pip install --quiet --disable-pip-version-check --require-hashes -r local/requirements/engine.txt
	@touch $@

# Pin every requirement with its hashes. Needs uv; writes no addresses.
lock:
	for file in layers/dependencies/requirements local/requirements/dev local/requirements/engine; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet $$file.in -o $$file.txt; \
	done

clean:
	rm -rf $(VENV) .local .aws-sam
