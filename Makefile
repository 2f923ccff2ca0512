# make report       the book on the built-in head: report/html/index.html
# make test         everything that CI runs
# make nbval        every notebook in a kernel of its own, held against its stored outputs
# make coverage     which lines and branches the tests reach
# make mutants      which changes of the code no test notices
# make same-answer  whether masks and numbers depend on versions
# make lab          the explorer in JupyterLab; as root: make lab LAB='-- --allow-root'
# make bench        times of chapter 13 and tools of chapter 11, measured here, on a quiet machine
# make fuzz         inputs that end in anything but a refusal; a quarter of an hour
# make neurolibre   the book in the layout that NeuroLibre builds from: neurolibre/
# make release-check  what checkers of metadata, workflows and distributions say: dist/
# All set themselves up; PYTHON chooses the interpreter.

PYTHON ?= python3
PYTHONS ?= $(shell which python3.11 python3.12 python3.13 python3.14 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
PIP := python -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/$(PIP) --constraint constraints.txt
# Slow files first, as tests/conftest.py sorts them, so that both processes end together.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder
TESTED := $(CURDIR)/build/report

.PHONY: help report test nbval coverage mutants same-answer lab bench fuzz neurolibre release-check check book-to-test format \
	screenshots clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# A stamp is as old as the last install of that extra; the project's metadata decides when to redo it.
$(VENV)/%.stamp: pyproject.toml constraints.txt hatch_build.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing skullnb[$*] into $(VENV) ..."
	@$(INSTALL) --editable '.[$*]'
	@touch $@

# Everything that developing takes; groups need a newer pip than some Pythons bring.
$(VENV)/dev.stamp: $(VENV)/test,browser.stamp
	@$(INSTALL) 'pip>=25.1'
	@$(INSTALL) --group dev
	@touch $@

report: $(VENV)/report.stamp
	@$(BIN)/skullnb report --output report --overwrite

lab: $(VENV)/lab.stamp
	@$(BIN)/skullnb lab $(LAB)

# The book is built beside the slow check of types, not while tests want both cores.
test: $(VENV)/dev.stamp
	@$(MAKE) --jobs 2 check book-to-test
	SKULLNB_BOOK='$(TESTED)' $(BIN)/python -m pytest $(TWO)

book-to-test: $(VENV)/dev.stamp
	@mkdir -p build
	@$(BIN)/skullnb report --output '$(TESTED)' --overwrite

nbval: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(TWO) --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg notebooks

bench: $(VENV)/bench.stamp
	OPENCV_FOR_THREADS_NUM=1 $(BIN)/python book/measure_times.py --record
	$(BIN)/skullnb heads fetch --all
	OPENCV_FOR_THREADS_NUM=1 $(BIN)/python book/measure_tools.py

coverage: book-to-test
	$(BIN)/python -m coverage erase
	SKULLNB_BOOK='$(TESTED)' $(BIN)/python -m coverage run -m pytest $(TWO)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

mutants: $(VENV)/dev.stamp
	@$(INSTALL) mutmut
	OPENCV_FOR_THREADS_NUM=1 $(BIN)/mutmut run --max-children 2

fuzz: $(VENV)/dev.stamp
	env -u CI SKULLNB_EXAMPLES=12000 $(BIN)/python -m pytest tests/test_fuzz.py --numprocesses 2

neurolibre: $(VENV)/report.stamp
	@$(BIN)/python book/neurolibre.py neurolibre

# The tag that a release is made for names VERSION; elsewhere any will do.
release-check: VERSION ?= $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' skullnb/__init__.py)
release-check:
	@test -x $(VENV)-release/bin/python || $(PYTHON) -m venv $(VENV)-release
	@$(VENV)-release/bin/$(PIP) 'pip>=25.1'
	@$(VENV)-release/bin/$(PIP) --group release
	@grep -qx '__version__ = "$(VERSION)"' skullnb/__init__.py \
		|| { echo "skullnb/__init__.py has another version than $(VERSION)."; exit 1; }
	$(VENV)-release/bin/sp-repo-review .
	$(VENV)-release/bin/zizmor --offline --persona=auditor .
	$(VENV)-release/bin/validate-pyproject pyproject.toml
	$(VENV)-release/bin/cffconvert --validate
	rm -rf dist
	$(VENV)-release/bin/python -m build --outdir dist
	$(VENV)-release/bin/twine check --strict dist/*

same-answer:
	$(PYTHON) tests/same_answer.py $(VENV)-versions $(PYTHONS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	nice $(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

screenshots: $(VENV)/dev.stamp
	$(BIN)/python tests/screenshots.py

clean:
	rm -rf build dist report neurolibre screenshots mutants .coverage* .venv-versions .venv-release .pytest_cache .mypy_cache .ruff_cache .hypothesis
