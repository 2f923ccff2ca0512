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
import time
import traceback
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import cv2
import pytest

import skullnb

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("nbval", "browser", "wheel")  # slow, and about the whole
PATIENCE_S = 60  # processor time after which a function counts as not missed
LONGEST_S = 180  # the same in real time, for tests that wait for other processes


def nothing(*_arguments: Any, **_options: Any) -> None:
    """Do nothing."""


def public_functions(parts: list[str]) -> list[FunctionType]:
    for module in pkgutil.walk_packages(skullnb.__path__, "skullnb."):
        if not module.name.endswith(("__main__", ".fast")):
            importlib.import_module(module.name)
    found = {
        name_of(one): one
        for one in gc.get_objects()
        if isinstance(one, FunctionType)
        and one.__code__.co_filename.startswith(str(ROOT / "skullnb"))
        and not re.search(r"(^|\.)_|<", one.__qualname__)
        and one.__module__ != "skullnb.pipeline.fast"
        and len(one.__code__.co_code) > len(nothing.__code__.co_code)  # not abstract
    }
    return [found[name] for name in sorted(found) if any(part in name for part in parts or [""])]


def name_of(function: FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def caches() -> list[Any]:
    return [one for one in gc.get_objects() if isinstance(one, type(text_of)) and one != text_of]


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
        functions, kept = public_functions(self.parts), caches()
        for function in functions:
            if not self.is_missed(function, relevant(session.items, function), kept):
                self.survivors.append(name_of(function))
                print("SURVIVES", name_of(function), flush=True)
        print(f"{len(functions)} functions removed, {len(self.survivors)} not missed")
        return True

    def is_missed(self, function: FunctionType, items: list[pytest.Item], kept: list[Any]) -> bool:
        """Run tests without a function, in a process of its own, until one fails."""
        child = os.fork()
        if child:
            status = os.waitpid(child, 0)[1]
            return status == 0 or os.WTERMSIG(status) == signal.SIGSEGV  # a crash is noticed, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.alarm(LONGEST_S)  # ends the process, whatever it waits for
        try:
            function.__defaults__ = function.__kwdefaults__ = None
            free = function.__code__.co_freevars
            function.__code__ = nothing.__code__.replace(co_freevars=free)
            for one in kept:
                one.cache_clear()  # or what was drawn at collection would hide the loss
            for item in items:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                if self.failed or time.process_time() > PATIENCE_S:
                    break
        except BaseException:
            traceback.print_exc()
        os._exit(not self.failed)


def relevant(items: list[pytest.Item], function: FunctionType) -> list[pytest.Item]:
    """Bring the tests that may notice into an order, the likeliest first."""
    module = function.__module__.rpartition(".")[2]

    def likeliness(item: pytest.Item) -> int:
        if not isinstance(item, pytest.Function):
            return 9 * (item.name == name_of(function))
        named = re.search(rf"\b{function.__name__}\b", text_of(item.path)) is not None
        return 2 * named + 3 * (module in item.path.stem) + (module in text_of(item.path))

    return sorted(filter(likeliness, items), key=likeliness, reverse=True)


def main(parts: list[str]) -> int:
    cv2.setNumThreads(1)  # threads that a fork does not have would be waited for
    remover = Remover(parts)
    tests = [
        str(path)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if not any(word in path.stem for word in LEFT_OUT)
    ]
    pytest.main(["-q", "-p", "no:cacheprovider", *tests, str(ROOT / "skullnb")], plugins=[remover])
    return int(bool(remover.survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
