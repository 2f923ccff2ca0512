"""What whole reports say must not change: every recorded number, and every table and sentence.

The chapters run on four data sets, without kernels, pages and pictures. Chapter 13 only records
times. `python tests/test_unchanged_reports.py` writes `golden/report-*` anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import golden_data as data
import pytest
from compare_results import differences
from real_data import real_data

HERE = Path(__file__).parent
CHAPTERS = tuple(path.stem for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")))
# Times; and what does not depend on the data, or only takes the synthetic cohort once more.
LEFT_OUT = {
    "phantom": ("13-timing",),
    "bare": ("10-validation", "12-real-heads", "13-timing"),
    "heads": ("12-real-heads", "13-timing"),
    "odd": ("12-real-heads", "13-timing"),
}


def rerun(name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """Run a report's chapters; return what they record, and their texts as one."""
    mirror = real_data() if name == "heads" else None
    parameters = data.write_report_data(name, folder, mirror)
    (folder / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")
    environment = {**os.environ, "SKULLNB_CACHE": str(folder), "OPENCV_FOR_THREADS_NUM": "1"}
    environment.pop("SKULLNB_HEADS_MIRROR", None)  # a page says which heads are on this machine
    chapters = [one for one in CHAPTERS if one not in LEFT_OUT[name]]
    command = [sys.executable, str(HERE / "golden_run.py"), str(folder), *chapters]
    subprocess.run(command, check=True, env=environment, cwd=folder)
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
@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_report_says_the_same_in_numbers_tables_and_sentences(name, tmp_path):
    results, text = rerun(name, tmp_path)
    path = HERE / "golden" / f"report-{name}"
    golden = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert differences(golden, results) == []
    assert text.splitlines() == path.with_suffix(".md").read_text(encoding="utf-8").splitlines()


def main() -> None:
    for name in sys.argv[1:] or LEFT_OUT:
        with TemporaryDirectory() as folder:
            results, text = rerun(name, Path(folder))
        path = HERE / "golden" / f"report-{name}"
        numbers = [f"{json.dumps(key)}:{json.dumps(one)}" for key, one in results.items()]
        path.with_suffix(".json").write_text("{" + ",\n".join(numbers) + "}\n", encoding="utf-8")
        path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
