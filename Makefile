# make demo   the main job on the embedded miniature
# make test   lint, types, tests
# make faults every promise of reliability against injected faults, at full length
# make docs   the documentation, docs/_build/index.html
# make help-pages  the stored pages of --help, after a change of a flag or its words
# Both set up .venv on a fresh machine; nothing else is needed but Python ≥ 3.11.

PYTHON ?= python3
PEERS := lightly lightly-utils hydra-core omegaconf antlr4-python3-runtime pytorch-lightning
BIN := .venv/bin
STAMP := .venv/.ready

# five gigabytes come over the network, and a download that broke off goes through the second time
define install
	@for wait in 15 60 stop; do \
	  $(BIN)/python -m pip install --quiet $(1) && exit 0; \
	  [ $$wait = stop ] && exit 1; \
	  echo "The installation failed; once more in $$wait s." >&2; sleep $$wait; \
	done
endef

.PHONY: setup demo test check format help-pages docs bench faults miniature build clean architecture

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Expected Python 3.11 or newer, got $$($(PYTHON) --version). Run: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(call install,--upgrade "pip>=25.1")
	$(call install,--constraint constraints.txt --editable . --group dev)
	@# apart: diffusers imports them wherever they are, for a second and some noise; tests give them to a process
	$(call install,--constraint constraints.txt --no-deps --upgrade --target .venv/quantise bitsandbytes torchao)
	@# apart: the peer of pre-training, which brings a framework of its own that nothing else needs
	$(call install,--constraint constraints.txt --no-deps --upgrade --target .venv/peers $(PEERS))
	@touch $@

demo: $(STAMP)
	$(BIN)/synthset demo

test: check
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

architecture: $(STAMP)
	$(BIN)/python -m tools.architecture

help-pages: $(STAMP)
	$(BIN)/python -m tools.help_pages

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build
	@echo "docs/_build/index.html"

bench: $(STAMP)
	PYTHONPATH=.venv/peers $(BIN)/python benchmarks --output benchmarks.json

faults: $(STAMP)
	$(BIN)/python tests/faults

miniature: $(STAMP)
	$(BIN)/python -m tools.miniature

build: $(STAMP)
	$(BIN)/python -m build

clean:
	rm -rf .venv build dist demo docs/_build docs/project docs/reference
