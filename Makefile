# Everything runs in .venv, which the first target that needs it makes. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

CONFIG ?=
SEED ?=
SIM ?= verilator
WAVES ?=
PAGE ?=
RUNS ?=
JOBS ?=
ONLY ?=
QUICK ?=
COUNT ?=
DEVICE ?=
PART ?=
SEEDS ?=
CORE ?=
CYCLES ?=

# Passed on only where set, so that the command line keeps its own defaults.
config := $(if $(CONFIG),--config $(CONFIG))
seed := $(if $(SEED),--seed $(SEED))
only := $(foreach name,$(ONLY),--only $(name))
quick := $(if $(QUICK),--quick)
waves := $(if $(WAVES),--waves)
page := $(if $(PAGE),--page)
count := $(if $(COUNT),--count $(COUNT))
part := $(if $(PART),--part $(PART))
device := $(if $(DEVICE),--device $(DEVICE))
core := $(if $(CORE),--core)
seeds := $(if $(SEEDS),--seeds $(SEEDS))
# SIM has a default above, which is not the regressions'.
regress := $(if $(RUNS),--runs $(RUNS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY)) \
	$(if $(filter-out file,$(origin SIM)),--sim $(SIM))

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' Makefile)

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## make .venv with the console script in it

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "needs Python >= 3.11, found none: set PYTHON="; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python >= 3.11: set PYTHON="; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

sim: $(READY) ## simulate the RTL, every cycle checked (CONFIG= SEED= SIM=verilator|icarus WAVES=1 PAGE=1)
	@$(BIN)/systolith sim $(config) $(seed) --sim $(SIM) $(waves) $(page)

regress: $(READY) ## random runs on random configurations (RUNS= SEED= JOBS= ONLY=SEED:INDEX SIM=)
	@$(BIN)/systolith regress $(seed) $(regress)

test: $(READY) ## run the tests
	$(BIN)/pytest -n auto -rs

test-slow: $(READY) ## run the tests that take minutes (SHARE=I/N: every N-th of them, from the I-th on)
	$(BIN)/pytest -n auto -rs -m slow

configs: $(READY) ## random passes and programs on configurations that have every pair of parameter values, engines and cores
	$(BIN)/pytest -n auto -rs -m '' tests/verif/tensor/test_covering.py tests/verif/core/test_core_covering.py

cycles: $(READY) ## random programs on every core but mxu, ten million cycles compared in all (CYCLES= SEED=)
	CYCLES=$(or $(CYCLES),10000000) $(if $(SEED),SEED=$(SEED)) $(BIN)/pytest -s -m slow tests/verif/core/test_core.py -k long_run

coverage: $(READY) ## measure functional bins, lines and toggles, write build/coverage/index.html (SEED=)
	@$(BIN)/systolith coverage $(seed)

mutants: $(READY) ## put 200 faults into the RTL of two configurations and see each caught (CONFIG= COUNT= SEED=)
	@$(BIN)/systolith mutants $(config) $(count) $(seed)

mutants-sample: $(READY) ## the same with 15 faults each (CONFIG= SEED=)
	@$(BIN)/systolith mutants $(config) --count 15 $(seed)

verilog: $(READY) ## write build/verilog/CONFIG.v, an AXI4-Stream wrapper and a page on driving it (CONFIG=fp8 CORE=1)
	@$(BIN)/systolith verilog $(core) --config $(or $(CONFIG),fp8)

fpga: $(READY) ## synthesise, place and route, report cells and clock (CONFIG=tiny DEVICE=ecp5-25k PART=core SEEDS=)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fpga]'
	@$(BIN)/systolith fpga $(config) $(device) $(part) $(seeds)

fpga-sweep: $(READY) ## the same for arrays of many kinds: table and plot of docs/fpga.md (DEVICE= SEEDS=)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fpga,docs]'
	@$(BIN)/systolith fpga sweep $(device) $(seeds) --docs

verilog-test: $(READY) ## write that and a test bench in plain Verilog, and run it with Icarus alone, for engine and core (CONFIG=tiny CORE=1)
	$(if $(CORE),,@$(BIN)/systolith verilog --config $(or $(CONFIG),tiny) --fusesoc --run)
	@$(BIN)/systolith verilog --core --config $(or $(CONFIG),tiny) --fusesoc --run

bench: $(READY) ## measure golden model, simulation and builds: one table, build/bench/bench.json (ONLY=golden QUICK=1 PAGE=1)
	@$(BIN)/systolith bench $(only) $(quick) $(page)

formal: $(READY) ## prove properties of the emitted Verilog (ONLY=the beginning of a name, QUICK=1)
	@$(BIN)/systolith formal $(only) $(quick)

demo: $(READY) ## two sentences through a language model in simulated RTL, and how alike they are (some minutes)
	@$(BIN)/python -m scripts.models.shows demo

story: $(READY) ## "The capital of France is": the next token of a language model in simulated RTL (a quarter of an hour)
	@$(BIN)/python -m scripts.models.shows story

pictures: $(READY) ## draw the pictures of docs/ anew
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@$(BIN)/python -m scripts.flows.pictures.array
	@$(BIN)/python -m scripts.flows.pictures.program

lint: $(READY) ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean: ## remove everything generated but .venv
	rm -rf build
