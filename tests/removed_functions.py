"""Is there a test that fails when a public function does nothing?

`python tests/removed_functions.py [NAME ...]` takes the body out of every public function and
method of skullnb (or of those with such a part in their full name) in turn, so that it returns
None, and runs its doctest, then the tests that mention it, its module or its package, those that
mention most of them first, until one fails that passes when nothing is removed. Each time in a
process of its own, forked when all tests have been collected. Left out are slow tests, and compiled
kernels, which the article's own operations stand against.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import pkgutil
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
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


def public_functions(packages: list[str]) -> list[FunctionType]:
    for module in pkgutil.walk_packages(skullnb.__path__, "skullnb."):
        if not module.name.endswith(("__main__", ".fast")):
            importlib.import_module(module.name)
    found = {
        (one.__module__, one.__qualname__): one
        for one in gc.get_objects()
        if isinstance(one, FunctionType)
        and one.__code__.co_filename.startswith(str(ROOT / "skullnb"))
        and not re.search(r"(^|\.)_|<", one.__qualname__)
        and one.__module__ != "skullnb.pipeline.fast"
        and len(one.__code__.co_code) > len(nothing.__code__.co_code)  # not abstract
    }
    chosen = packages or ["skullnb"]
    return [found[name] for name in sorted(found) if any(one in ".".join(name) for one in chosen)]


@cache
def caches() -> list[Any]:
    cached = type(cache(nothing))
    found = [one for one in gc.get_objects() if isinstance(one, cached)]
    return [one for one in found if one.__module__ != __name__]


class Remover:
    """A pytest plugin that runs tests against each function's absence, instead of all tests."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages
        self.failed = False
        self.survivors: list[str] = []
        self.sound: set[pytest.Item] = set()  # tests that pass when nothing is removed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed and report.when != "teardown"

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        functions = public_functions(self.packages)
        items = list(session.items)
        caches()  # found once, and not in every process
        for function in functions:
            name = f"{function.__module__}.{function.__qualname__}"
            words = (function.__name__, *function.__module__.split(".")[:0:-1])
            order = relevant(items, name, words)
            while (failed := first_failure(self, order, function)) and failed not in self.sound:
                if not first_failure(self, [failed]):
                    self.sound.add(failed)
                    break
                print("FAILS ANYWAY", failed.nodeid, flush=True)
                items.remove(failed)
                order.remove(failed)
            if not failed:
                self.survivors.append(name)
                print("SURVIVES", name, flush=True)
        print(f"{len(functions)} functions removed, {len(self.survivors)} not missed")
        return True


def first_failure(
    remover: Remover, items: list[pytest.Item], removed: FunctionType | None = None
) -> pytest.Item | None:
    """Run tests in a process of its own until one fails, perhaps without a function."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.alarm(LONGEST_S)  # ends the process, whatever it waits for
        try:
            if removed:
                remove(removed)
            for number, item in enumerate(items):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                if remover.failed:
                    os.write(writer, str(number).encode())
                if remover.failed or time.process_time() > PATIENCE_S:
                    break
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)
    os.set_blocking(reader, False)  # what a test has started may hold the other end
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as answer:
        said = answer.read()
    return items[int(said)] if said else None


def remove(function: FunctionType) -> None:
    function.__defaults__ = function.__kwdefaults__ = None
    function.__code__ = nothing.__code__.replace(co_freevars=function.__code__.co_freevars)
    for kept in caches():
        kept.cache_clear()  # or what was drawn at collection would hide the loss


def relevant(items: list[pytest.Item], own: str, words: Sequence[str]) -> list[pytest.Item]:
    """Bring the tests that may notice into an order, the likeliest first.

    `own`: the function's full name, as its doctest has it. `words`: its name, its module's, and
    so on up to its package's.
    """

    @cache
    def says(text: str, word: str) -> bool:
        return bool(re.search(rf"\b{word}\b", text))

    def likeliness(item: pytest.Item) -> int:
        if not isinstance(item, pytest.Function):
            return 100 * (item.name == own)
        said = sum(says(file_of(item), word) for word in words)
        near = any(word in item.path.stem.split("_") for word in words[1:])
        return bool(said) * (said + 2 * says(source_of(item), words[0]) + 3 * near)

    return sorted(filter(likeliness, items), key=likeliness, reverse=True)


@cache
def source_of(item: pytest.Function) -> str:
    return inspect.getsource(item.function)


@cache
def file_of(item: pytest.Function) -> str:
    return item.path.read_text(encoding="utf-8")


def main(packages: list[str]) -> int:
    cv2.setNumThreads(1)  # threads that a fork does not have would be waited for
    remover = Remover(packages)
    tests = [
        str(path)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if not any(word in path.stem for word in LEFT_OUT)
    ]
    options = ["-q", "-p", "no:cacheprovider"]
    pytest.main([*options, *tests, str(ROOT / "skullnb")], plugins=[remover])
    return int(bool(remover.survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
