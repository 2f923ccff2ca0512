# make report       the book on the built-in head: report/html/index.html
# make test         everything that CI runs
# make coverage     which lines and branches the tests reach
# make mutants      which changes of the code no test notices
# make same-answer  whether masks and numbers depend on versions
# make lab          the explorer in JupyterLab; as root: make lab LAB='-- --allow-root'
# make bench        every time of chapter 13, measured here; some minutes on a quiet machine
# All set themselves up; PYTHON chooses the interpreter.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help report test coverage mutants same-answer lab bench check format screenshots clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# A stamp is as old as the last install of that extra; the project's metadata decides when to redo it.
$(VENV)/%.stamp: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing skullnb[$*] into $(VENV) ..."
	@$(INSTALL) --editable '.[$*]'
	@touch $@

report: $(VENV)/report.stamp
	@$(BIN)/skullnb report --output report --overwrite

lab: $(VENV)/lab.stamp
	@$(BIN)/skullnb lab $(LAB)

test: $(VENV)/test,browser.stamp check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

bench: $(VENV)/bench.stamp
	OPENCV_FOR_THREADS_NUM=1 $(BIN)/python -m skullnb.study.timing --record

coverage: $(VENV)/test,browser.stamp
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses 2 --dist loadfile
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

mutants: $(VENV)/test,browser.stamp
	@$(INSTALL) mutmut
	OPENCV_FOR_THREADS_NUM=1 $(BIN)/mutmut run --max-children 2
	$(BIN)/python tests/removed_functions.py

same-answer:
	$(PYTHON) tests/same_answer.py $(VENV)-versions $(PYTHONS) --report

check: $(VENV)/test,browser.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/test,browser.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

screenshots: $(VENV)/test,browser.stamp
	$(BIN)/python tests/screenshots.py

clean:
	rm -rf build dist report screenshots mutants .coverage* .venv-versions .pytest_cache .mypy_cache .ruff_cache .hypothesis
