"""Change every number in the notebooks' stored outputs, one at a time: does nbval notice each?

`python tests/changed_numbers.py [NOTEBOOK ...]` looks at all chapters when none is named. nbval
collects the cells and compares; only the kernel is left out. `test_nbval.py` shows that the stored
outputs are those of the code, so a number that differs from a stored one differs from the code's.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"\d+")


class Changer:
    """A pytest plugin that looks at the cells which nbval has collected."""

    def __init__(self) -> None:
        self.tried, self.unnoticed, self.ignored = 0, [], []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            item.parent.setup_sanitize_files()
            item.format_output_compare = lambda *_: None  # how outputs differ is not asked
            outputs = copy.deepcopy(item.cell.outputs)
            for output in outputs:
                output.get("data", {}).pop("image/png", None)  # long, and never compared
            if item.options["check"] and not item.options["skip"]:
                for changed, number in each_number_changed(outputs):
                    self.tried += 1
                    if item.compare_outputs(copy.deepcopy(outputs), changed):
                        self.unnoticed.append(f"{item.nodeid}: {number}")
            elif outputs:
                self.ignored.append(f"{item.parent.path.stem}: {item.cell.source}")


def each_number_changed(outputs: list[Any]) -> Iterator[tuple[list[Any], str]]:
    """Yield the outputs with the last digit of one number changed, and that number's place."""
    for i, output in enumerate(outputs):
        texts = {"text": output["text"]} if "text" in output else output.get("data", {})
        for kind, text in texts.items():
            if not (kind.startswith("text") and isinstance(text, str)):
                continue
            for found in NUMBER.finditer(text):
                changed = copy.deepcopy(outputs)
                holder = changed[i] if "text" in output else changed[i]["data"]
                end = found.end()
                holder[kind] = text[: end - 1] + str((int(text[end - 1]) + 1) % 10) + text[end:]
                yield changed, text[max(0, found.start() - 20) : end]


def main(notebooks: list[str]) -> int:
    changer = Changer()
    options = ["--collect-only", "-qq", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    options += ["--nbval-sanitize-with", str(ROOT / "tests" / "sanitize.cfg")]
    status = pytest.main([*options, *(notebooks or [str(ROOT / "notebooks")])], plugins=[changer])
    print(json.dumps(vars(changer), indent=1))
    return int(status) or int(bool(changer.unnoticed) or not changer.tried)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
