# A fresh Linux machine with Python 3.11 or newer and pip is all that these need.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
TESTS ?=

.PHONY: demo test test-slow check format golden screenshots words clean

demo: $(INSTALLED)
	$(BIN)/sft-wizard demo

# Three on two processors: the tests of screens wait half of their time.
test: $(INSTALLED)
	$(BIN)/pytest -n 3 --dist worksteal -m "not slow and not gpu" $(TESTS)

test-slow: $(INSTALLED)
	$(BIN)/pytest -m "slow and not gpu" $(TESTS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Records the screens as they are now; read the difference before you commit it.
golden: $(INSTALLED)
	$(BIN)/pytest -n 2 tests/pilot --update-golden

# Records the pictures of docs/ from the program.
screenshots: $(INSTALLED)
	$(BIN)/python -m docs.screenshot

# Collects every sentence into the catalogues of tui/locale/ and says which still need a translation.
words: $(INSTALLED)
	$(BIN)/python -m tui.locale.update

# torch first: its pin decides which build pip takes before anything else can ask for another.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "sft-wizard needs Python 3.11 or newer: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[dev]"
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
