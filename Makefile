# make run    start Nightshift on this machine, with a demo sync: NIGHTSHIFT_DEMO=0 leaves the sync out. Until Ctrl-C,
#             changes to the code and the queries reach the stack at once
# make test   run everything in this list up to `make build`; fetch a Python and a Chromium if the machine lacks them. The
#             suite exits with 3, which make shows as "Error 3", if one cannot be fetched and a part was left out
#               make check          lint, types, template and build, as below
#               make test-code      the tests that need neither the local stack nor a browser
#               make test-stack     the tests of the whole local stack
#               make test-browser   the tests of the dashboard, in Chromium
# make check  check everything that needs no running system:
#               make lint      ruff on all files
#               make types     mypy in strict mode, except on tests and benchmarks; and few expressions are untyped
#               make template  template.yaml as SAM and as translated CloudFormation: sam validate, cfn-lint, what
#                              each region has, checkov, and parliament on each policy
#                              (make regions lints it for each region, in two minutes)
#               make build     build the code that `sam deploy` ships, compiled for Lambda's Python, and check its size
# make screenshots    create the README's pictures of the dashboard
# make mutants   change each condition in turn and run the test that must then fail: ONLY=claim_slice for some;
#                FIND=claim_slice finds tests for mutants that have no entry in tests/mutants/table
# make docs   generate the reference pages
# make simulate   run the product's functions on Postgres, step by step, as a seed decides: STEPS=20000 SEED=7
# make prove  run the long proofs: each region, the protocol's model, a million simulated steps, more requests to the API,
#             the benchmarks
#
# To deploy: make build && sam deploy --guided. (It also works after a plain `sam build`, but with slower cold starts.)
PYTHON ?= python3
VENV := .venv
# The number of test processes, each with its own Postgres or stack. The parts run beside each other. The plain tests take
# longest, and some wait now and then: one process more than cores keeps the cores busy, also after the other parts.
CORES := $(shell getconf _NPROCESSORS_ONLN)
AT_ONCE := -n $(shell expr \( $(CORES) + 1 \) / 2) --maxprocesses 4 --durations 15 --dist
PLAIN_AT_ONCE := -n $(shell expr $(CORES) + 1) --maxprocesses 5 --durations 15 --dist
# Importing it takes each process almost a second.
NO_SCHEMATHESIS := -p no:schemathesis

export SAM_CLI_TELEMETRY := 0
# Ignore the developer's own AWS account, database, Python settings and locale.
unexport $(filter-out PYTHON,$(filter AWS_% PG% PYTHON%,$(.VARIABLES)))
export PYTHONUTF8 := 1

.PHONY: run test test-packages test-code test-stack test-browser screenshots check lint types template regions build mutants simulate docs prove bench lock clean
.DELETE_ON_ERROR:

# Check the ports before anything is installed. Where nothing has to be installed, the start itself checks them first.
run: BEFORE_INSTALLING = @$(PYTHON) -I local/ports.py
run: $(VENV)/ready $(VENV)/local-aws/ready
	@$(VENV)/bin/python -m local.run

test: $(VENV)/ready
	@$(VENV)/bin/python -m local.everything

test-packages: $(VENV)/ready $(VENV)/browser/ready

test-code: $(VENV)/compiled
	$(VENV)/bin/python -m pytest $(PLAIN_AT_ONCE) worksteal -m "not stack and not browser"

test-stack: $(VENV)/ready $(VENV)/local-aws/ready $(VENV)/lambda/ready
	$(VENV)/bin/python -m pytest $(AT_ONCE) loadfile $(NO_SCHEMATHESIS) -m stack tests/stack

test-browser: $(VENV)/ready $(VENV)/local-aws/ready $(VENV)/browser/ready
	$(VENV)/bin/python -m pytest $(AT_ONCE) loadfile $(NO_SCHEMATHESIS) -m browser tests/dashboard

screenshots: $(VENV)/ready $(VENV)/local-aws/ready $(VENV)/browser/ready
	@$(VENV)/bin/python -m tools.screenshots

check: lint types template build

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/ready
	$(VENV)/bin/mypy --any-exprs-report .local/types
	$(VENV)/bin/python -m tools.untyped .local/types/any-exprs.txt

TRANSLATED := .local/translated.json
POLICIES := .local/policies
REGIONS := $(VENV)/sam/bin/python -m tools.regions
template: $(VENV)/ready $(foreach tool,sam checkov parliament,$(VENV)/$(tool)/ready)
	$(VENV)/sam/bin/sam validate --lint --region us-east-1
	@mkdir -p .local
	$(VENV)/bin/python -m local.deployment.template > $(TRANSLATED)
	$(VENV)/sam/bin/cfn-lint --regions $$($(REGIONS) different $(TRANSLATED)) -- $(TRANSLATED)
	$(REGIONS) compare $(TRANSLATED)
	$(VENV)/checkov/bin/checkov -f $(TRANSLATED)
	$(VENV)/bin/python -m tools.policies $(TRANSLATED) $(POLICIES)
	$(VENV)/parliament/bin/parliament --config .parliament.yaml --directory $(POLICIES)

# cfn-lint keeps what it has worked out for each region, and slows down with more than a few at once.
regions: template
	$(REGIONS) all $(TRANSLATED) | xargs -n 4 sh -c '$(VENV)/sam/bin/cfn-lint --regions "$$@" -- $(TRANSLATED)' cfn-lint

build: $(VENV)/ready $(VENV)/sam/ready
	@$(VENV)/bin/python -m local.deployment.build

mutants: $(VENV)/ready
	@$(VENV)/bin/python -m tests.mutants $(if $(FIND),--find $(FIND),$(ONLY))

# Pages generated from code.
docs: $(VENV)/ready
	$(VENV)/bin/python -m tools.reference
	$(VENV)/bin/python -m tools.cli_reference
	$(VENV)/bin/python -m tools.schema_page

# Measure one claim: make bench BENCH=sync_memory. Lines of the functions' log and metrics are left out.
BENCH ?= sync_memory
bench: $(VENV)/ready $(if $(filter run_costs,$(BENCH)),$(VENV)/peers/ready)
	@$(VENV)/bin/python -m bench.$(BENCH) | grep -v -e '^{"level"' -e '^{"_aws"'

# NIGHTSHIFT_POSTGRES_VERSION=16 selects Postgres's version. `make prove` uses the oldest that we support and that of
# the template.
STEPS ?= 20000
SEED ?=
simulate: $(VENV)/ready
	@$(VENV)/bin/python -m tests.simulation --steps $(STEPS) $(if $(SEED),--seed $(SEED))

prove: $(VENV)/ready
	NIGHTSHIFT_POSTGRES_VERSION=16 $(MAKE) simulate STEPS=500000
	NIGHTSHIFT_POSTGRES_VERSION=18 $(MAKE) simulate STEPS=500000
	NIGHTSHIFT_EXAMPLES=200 $(VENV)/bin/python -m pytest -n auto -q tests/api/test_schemathesis.py
	for bench in $$(grep -l '^"""Claim' bench/*.py); do $(MAKE) bench BENCH=$$(basename $$bench .py) || exit 1; done
	$(VENV)/bin/python -m tools.model search --proofs
	$(VENV)/bin/python -m tools.model matrix
	$(VENV)/bin/python -m tools.model walk

$(VENV)/ready: local/requirements/dev.txt local/requirements/pip.txt pyproject.toml
	$(BEFORE_INSTALLING)
	@echo "Setting up $(VENV) (takes about a minute, only when requirements change) …"
	@$(PYTHON) -I local/venv.py $(VENV) $< --with-checkout

# In the tests' own environment, because the tests import Playwright.
$(VENV)/browser/ready: local/requirements/browser.txt $(VENV)/ready
	@echo "Setting up Playwright (takes a few seconds, only when its requirements change) …"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r $<
	@mkdir -p $(@D) && touch $@

# Collect the tests once in one process, which compiles all that they import: otherwise each test process does.
$(VENV)/compiled: $(VENV)/ready $(VENV)/local-aws/ready
	@echo "Compiling what the tests import (takes some seconds, only when requirements change) …"
	@$(VENV)/bin/python -m pytest --collect-only --quiet > /dev/null 2>&1 || true
	@touch $@

# Each tool pins its own botocore, so each has its own environment.
$(VENV)/local-aws/ready: TOOL := local AWS (takes half a minute
$(VENV)/sam/ready: TOOL := sam and cfn-lint (takes about a minute
$(VENV)/checkov/ready: TOOL := checkov (takes about a minute
$(VENV)/parliament/ready: TOOL := parliament (takes some seconds
$(VENV)/uv/ready: TOOL := uv (takes some seconds
$(VENV)/peers/ready: TOOL := other job queues (takes some seconds
$(VENV)/lambda/ready: TOOL := Lambda's runtime client (takes some seconds
# The functions' Python, which `make build` needs as well. oban-py needs a newer one than we do: this one is new enough.
$(VENV)/peers/ready $(VENV)/lambda/ready: FIND_PYTHON := from local.deployment.build import interpreter, runtime; print(interpreter(runtime()))
$(VENV)/peers/ready $(VENV)/lambda/ready: NEWER = "$$($(VENV)/bin/python -c '$(FIND_PYTHON)')"
$(VENV)/%/ready: local/requirements/%.txt | $(VENV)/ready
	$(BEFORE_INSTALLING)
	@echo "Setting up $(TOOL), only when its requirements change) …"
	@$(or $(NEWER),$(PYTHON)) -I local/venv.py $(VENV)/$* $< --pip-of $(VENV)

# Pin every requirement with its hashes. Needs uv. The files contain no index URLs.
lock:
	for file in layers/dependencies/requirements.in local/requirements/*.in; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet $$file -o $${file%.in}.txt; \
	done

clean:
	rm -rf $(VENV) .local .aws-sam
