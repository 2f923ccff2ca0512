"""What whole reports say must not change: every recorded number, and every table and sentence.

The chapters run on four data sets, without kernels, pages and pictures. Chapter 13 only records
times. `python tests/test_unchanged_reports.py` writes `golden/report-*` anew.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import golden_data as data
import pytest
from golden_data import differences, real_data

HERE = Path(__file__).parent
CHAPTERS = tuple(path.stem for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")))
# What does not depend on the data given (08 takes the stand-in), times, widgets, the landing page.
FIXED = ("08-five-slices", "10-validation", "12-other-heads", "13-timing", "14-explore", "index")
LEFT_OUT = {
    "phantom": ("12-other-heads", "13-timing", "14-explore", "index"),
    "bare": FIXED,
    "heads": FIXED,
    "odd": FIXED,
}


def rerun(names: Sequence[str], folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Run some reports' chapters; return what each records, and its texts as one."""
    mirror = real_data() if "heads" in names else None
    places = {name: folder / f"of-{name}" for name in names}  # a folder "phantom" would be opened
    for name, place in places.items():
        place.mkdir()
        parameters = data.write_report_data(name, place, mirror)
        chapters = [one for one in CHAPTERS if one not in LEFT_OUT[name]]
        run = {"parameters": parameters, "chapters": chapters}
        (place / "run.json").write_text(json.dumps(run), encoding="utf-8")
    environment = {**os.environ, "SKULLNB_HEADS": str(folder), "OPENCV_FOR_THREADS_NUM": "1"}
    command = [sys.executable, str(HERE / "golden_run.py"), *map(str, places.values())]
    subprocess.run(command, check=True, env=environment, cwd=folder)
    return {name: _outcome(place) for name, place in places.items()}


def _outcome(folder: Path) -> tuple[dict[str, Any], str]:
    results = {}
    for path in sorted((folder / "results").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        results["inputs"] = content["inputs"]
        results[content["chapter"]] = content["values"]
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    blocks = [
        f"<!-- {chapter} -->\n" + "\n\n".join(cells) + "\n" for chapter, cells in texts.items()
    ]
    return results, "\n".join(blocks)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("phantom", "bare", "odd"), ("heads",)], ids=" ".join)
def test_reports_say_the_same_in_numbers_tables_and_sentences(names, tmp_path):
    for name, (results, text) in rerun(names, tmp_path).items():
        path = HERE / "golden" / f"report-{name}"
        golden = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        assert differences(golden, results) == []
        assert text.splitlines() == path.with_suffix(".md").read_text(encoding="utf-8").splitlines()


def main() -> None:
    with TemporaryDirectory() as folder:
        outcomes = rerun(sys.argv[1:] or list(LEFT_OUT), Path(folder))
    for name, (results, text) in outcomes.items():
        path = HERE / "golden" / f"report-{name}"
        numbers = [f"{json.dumps(key)}:{json.dumps(one)}" for key, one in results.items()]
        path.with_suffix(".json").write_text("{" + ",\n".join(numbers) + "}\n", encoding="utf-8")
        path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
