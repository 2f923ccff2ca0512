"""Is there a test that fails when a public function does nothing?

`python tests/removed_functions.py [NAME ...]` takes the body out of every public function and
method of skullnb (or of those with such a part in their full name) in turn, so that it returns
None, and runs its doctest and the tests of files that mention it or its module, until one fails:
each time in a process of its own, forked when all tests have been collected. Tests that fail anyway
would hide what is missing, so run the whole suite before. Left out are slow tests, and compiled
kernels, which the article's own operations stand against.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import re
import signal
import sys
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import cv2
import pytest

import skullnb

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("nbval", "browser", "wheel")  # slow, and about the whole
LONGEST_S = 180  # after which a function counts as not missed


def nothing(*_arguments: Any, **_options: Any) -> None:
    """Do nothing."""


def public_functions(parts: list[str]) -> dict[str, FunctionType]:
    for module in pkgutil.walk_packages(skullnb.__path__, "skullnb."):
        if not module.name.endswith(("__main__", ".fast")):
            importlib.import_module(module.name)
    found = {
        f"{one.__module__}.{one.__qualname__}": one
        for one in gc.get_objects()
        if isinstance(one, FunctionType)
        and one.__code__.co_filename.startswith(str(ROOT / "skullnb"))
        and not re.search(r"(^|\.)_|<", one.__qualname__)
        and one.__module__ != "skullnb.pipeline.fast"
        and len(one.__code__.co_code) > len(nothing.__code__.co_code)  # not abstract
    }
    return {
        name: found[name] for name in sorted(found) if any(one in name for one in parts or [""])
    }


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


class Remover:
    """A pytest plugin that runs tests against each function's absence, instead of all tests."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts
        self.failed = False
        self.survivors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed and report.when != "teardown"

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        functions = public_functions(self.parts)
        for name, function in functions.items():
            child = os.fork()
            if not child:
                self.run_without(function, likeliest_first(session.items, name))
            status = os.waitpid(child, 0)[1]
            if status and os.WTERMSIG(status) != signal.SIGSEGV:  # a crash is noticed, too
                self.survivors.append(name)
                print("SURVIVES", name, flush=True)
        print(f"{len(functions)} functions removed, {len(self.survivors)} not missed")
        return True

    def run_without(self, function: FunctionType, items: list[pytest.Item]) -> None:
        """Run tests without a function until one fails, and end this process: with 0 then."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.alarm(LONGEST_S)  # ends the process, whatever it waits for
        try:
            function.__defaults__ = function.__kwdefaults__ = None
            free = function.__code__.co_freevars
            function.__code__ = nothing.__code__.replace(co_freevars=free)
            for one in gc.get_objects():  # or what was drawn at collection would hide the loss
                if isinstance(one, type(text_of)) and one != text_of:
                    one.cache_clear()
            for item in items:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                if self.failed:
                    break
        finally:
            os._exit(not self.failed)


def likeliest_first(items: list[pytest.Item], name: str) -> list[pytest.Item]:
    """Bring the tests that may notice that a function is gone into an order."""
    *_, module, own = name.split(".")

    def likeliness(item: pytest.Item) -> int:
        if not isinstance(item, pytest.Function):
            return 9 * (item.name == name)
        named = re.search(rf"\b{own}\b", text_of(item.path)) is not None
        return 2 * named + 3 * (module in item.path.stem) + (module in text_of(item.path))

    return sorted(filter(likeliness, items), key=likeliness, reverse=True)


if __name__ == "__main__":
    cv2.setNumThreads(1)  # threads that a fork does not have would be waited for
    remover = Remover(sys.argv[1:])
    files = [
        str(path)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if not any(word in path.stem for word in LEFT_OUT)
    ]
    pytest.main(["-q", "-p", "no:cacheprovider", *files, str(ROOT / "skullnb")], plugins=[remover])
    sys.exit(bool(remover.survivors))
