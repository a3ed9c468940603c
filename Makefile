# make run    the whole of Nightshift on this machine
# make test   everything: all that follows up to screenshots; it fetches a Python and a Chromium where they are missing,
#             and ends with 3 where it could not and left a part out
#               make check          as below
#               make test-code      all tests but these two kinds
#               make test-stack     the tests of the whole stack
#               make test-browser   those of the dashboard, in Chromium
# make screenshots    the README's pictures of the dashboard
# make check  what can be said without running anything:
#               make lint      ruff, over everything
#               make types     mypy, strict, over all that is not a test or a benchmark
#               make template  template.yaml as SAM and, translated, as CloudFormation: sam validate, cfn-lint, checkov
#               make build     what `sam deploy` ships, compiled for Lambda's Python and weighed against its budgets
# make mutants   each condition altered in turn, and the test that must fail then: ONLY=claim_slice for some;
#                FIND=claim_slice looks for the tests that kill the mutants without an entry in tests/mutants/table
# make docs   the reference pages, made anew from what they describe
# make simulate   the product's functions on Postgres, step by step, as a seed says: STEPS=20000 SEED=7
# make prove  the long proofs: the protocol's model, a million simulated steps, the benchmarks
#
# To deploy: make build && sam deploy --guided. (After a bare `sam build` it works as well, with slower cold starts.)
PYTHON ?= python3
VENV := .venv
# A process of tests for each core, each with a Postgres and a stack of its own.
AT_ONCE := -n auto --maxprocesses 4 --dist

export SAM_CLI_TELEMETRY := 0
# The developer's own account, database, Python modules and locale are none of ours.
unexport $(filter-out PYTHON,$(filter AWS_% PG% PYTHON%,$(.VARIABLES)))
export PYTHONUTF8 := 1

.PHONY: run test test-code test-stack test-browser screenshots check lint types template build mutants simulate docs prove bench lock clean
.DELETE_ON_ERROR:

run: $(VENV)/ready $(VENV)/engine/ready
	@$(VENV)/bin/python -m local.run

test: $(VENV)/ready
	@$(VENV)/bin/python -m local.everything

test-code: $(VENV)/ready $(VENV)/engine/ready
	$(VENV)/bin/python -m pytest $(AT_ONCE) worksteal -m "not stack and not browser"

test-stack: $(VENV)/ready $(VENV)/engine/ready
	$(VENV)/bin/python -m pytest $(AT_ONCE) loadfile -m stack

test-browser: $(VENV)/ready $(VENV)/engine/ready $(VENV)/browser/ready
	$(VENV)/bin/python -m pytest $(AT_ONCE) loadfile -m browser

screenshots: $(VENV)/ready $(VENV)/engine/ready $(VENV)/browser/ready
	@$(VENV)/bin/python -m tests.screenshots

check: lint types template build

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# Every function's module is called app, so each is looked at alone.
types: $(VENV)/ready
	$(VENV)/bin/mypy -p nightshift -p cli -p local -p docs.model
	@for function in functions/*/; do echo "mypy $$function"; MYPYPATH=$$function $(VENV)/bin/mypy $$function || exit 1; done

TRANSLATED := .local/translated.json
template: $(VENV)/ready $(VENV)/sam/ready $(VENV)/checkov/ready
	$(VENV)/sam/bin/sam validate --lint --region us-east-1
	@mkdir -p .local
	$(VENV)/bin/python -m local.template > $(TRANSLATED)
	$(VENV)/sam/bin/cfn-lint $(TRANSLATED)
	$(VENV)/checkov/bin/checkov -f $(TRANSLATED)

build: $(VENV)/ready $(VENV)/sam/ready
	@$(VENV)/bin/python -m local.build

mutants: $(VENV)/ready
	@$(VENV)/bin/python -m tests.mutants $(if $(FIND),--find $(FIND),$(ONLY))

# The pages that follow from code.
docs: $(VENV)/ready
	$(VENV)/bin/python -m local.reference
	$(VENV)/bin/python -m cli.reference

# One claim: make bench BENCH=sync_memory
BENCH ?= sync_memory
bench: $(VENV)/ready
	@PYTHONPATH=functions/api:functions/worker $(VENV)/bin/python -m bench.$(BENCH) | grep -v '^{"level"'

# On the oldest and the newest Postgres that RDS offers: NIGHTSHIFT_POSTGRES_VERSION=18.
STEPS ?= 20000
SEED ?=
simulate: $(VENV)/ready
	@PYTHONPATH=functions/api:functions/worker $(VENV)/bin/python -m tests.simulation --steps $(STEPS) $(if $(SEED),--seed $(SEED))

prove: $(VENV)/ready
	NIGHTSHIFT_POSTGRES_VERSION=16 $(MAKE) simulate STEPS=500000
	NIGHTSHIFT_POSTGRES_VERSION=18 $(MAKE) simulate STEPS=500000
	for bench in $$(grep -l '^"""Claim' bench/*.py); do $(MAKE) bench BENCH=$$(basename $$bench .py) || exit 1; done
	$(VENV)/bin/python -m docs.model search --proofs
	$(VENV)/bin/python -m docs.model matrix
	$(VENV)/bin/python -m docs.model walk

$(VENV)/ready: local/requirements/dev.txt pyproject.toml
	@echo "Setting up $(VENV) (about a minute, only when requirements change) …"
	@$(PYTHON) -I local/venv.py $(VENV) $< --with-checkout

# Beside the tests, which import it.
$(VENV)/browser/ready: local/requirements/browser.txt $(VENV)/ready
	@echo "Setting up Playwright (a few seconds, only when its requirements change) …"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@mkdir -p $(@D) && touch $@

# Each pins a botocore of its own, so each gets an environment of its own.
$(VENV)/engine/ready: TOOL := the local AWS engine (half a minute
$(VENV)/sam/ready: TOOL := sam and cfn-lint (about a minute
$(VENV)/checkov/ready: TOOL := checkov (about a minute
$(VENV)/uv/ready: TOOL := uv (some seconds
$(VENV)/%/ready: local/requirements/%.txt | $(VENV)/ready
	@echo "Setting up $(TOOL), only when its requirements change) …"
	@$(PYTHON) -I local/venv.py $(VENV)/$* $<

# Pin every requirement with its hashes. Needs uv; writes no addresses.
lock:
	for file in layers/dependencies/requirements.in local/requirements/*.in; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet $$file -o $${file%.in}.txt; \
	done

clean:
	rm -rf $(VENV) .local .aws-sam
