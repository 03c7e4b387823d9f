# make demo    set everything up and run the bundled example on an emulated Cortex-M4
# make test    set everything up and pass the tests
# make speed   set everything up and measure every figure of benchmarks/speed.md again; a few minutes
# make networks   likewise the table of whole networks in docs/speed.md
PYTHON ?= python3
VENV := .venv
PACKAGES := gcc libc6-dev g++ clang gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
TOOLS := gcc g++ clang arm-none-eabi-gcc qemu-system-arm

.PHONY: demo test speed networks lint accept-golden accept-figures accept-corpus fuzz code-size clean

demo: $(VENV)/demo tools
	$(VENV)/bin/hmdc demo

test: $(VENV)/test tools
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest -q -n auto

# MODELS: a folder with the MNIST network of TensorFlow Lite Micro; without it those rows are left out.
speed: $(VENV)/bench tools
	$(VENV)/bin/python benchmarks/speed.py $(if $(MODELS),--models $(MODELS))

networks: $(VENV)/demo tools
	$(VENV)/bin/python benchmarks/activity.py

lint: $(VENV)/test
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# After a change of the generated C that is meant: rewrite tests/golden, then read the diff.
accept-golden: $(VENV)/test
	HMDC_ACCEPT_GOLDEN=1 $(VENV)/bin/python -m pytest -q tests/test_golden.py

# After a change of speed or size that is meant: rewrite tests/figures.json, then read the diff.
accept-figures: $(VENV)/test tools
	HMDC_ACCEPT_FIGURES=1 $(VENV)/bin/python -m pytest -q tests/test_figures.py

# After a change of what becomes of the bundled models that is meant: write docs/corpus.md again, then read the diff.
accept-corpus: $(VENV)/test
	HMDC_ACCEPT_CORPUS=1 $(VENV)/bin/python -m pytest -q tests/test_corpus_docs.py

# Damaged and odd files of every kind, MINUTES for each; what breaks lies in build/fuzz.  Seldom, and long.
MINUTES ?= 10
fuzz: $(VENV)/test
	$(VENV)/bin/python -m tests.fuzz --minutes $(MINUTES)

# After a change of a kernel: measure its code and stack again.
code-size: $(VENV)/demo tools
	$(VENV)/bin/python runtime_c/measure.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hmdc needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV) || { sh boards/common/install.sh python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/demo: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/test: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/demo

$(VENV)/bench: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(VENV)/demo

.PHONY: tools
tools:
	@for t in $(TOOLS); do command -v $$t >/dev/null || { sh boards/common/install.sh $(PACKAGES); break; }; done

clean:
	rm -rf $(VENV) build .pytest_cache .hypothesis .ruff_cache
