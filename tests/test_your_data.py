"""Chapter 15 on one slice and on very many; `test_unchanged_reports.py` holds what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "15-your-data.ipynb"


def run(**parameters: Any) -> dict[str, Any]:
    """Run the cells of a report, without a kernel, up to the exercise; give their names."""
    mpl.use("agg")
    names: dict[str, Any] = {"display": lambda *shown: None}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        tags = cell["metadata"]["tags"]
        if cell["cell_type"] == "code" and not {"book-only", "exercise"} & set(tags):
            exec("".join(cell["source"]), names)
        if "parameters" in tags:
            names.update(parameters)
    return names


@pytest.fixture(autouse=True)
def nothing_is_shown(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *shown, **words: None)


@pytest.mark.parametrize("n", [1, 900])
def test_one_slice_and_very_many_are_shown_as_they_can_be(tmp_path, n):
    image = np.zeros((24, 20), np.uint8)
    image[6:18, 5:15] = 200
    np.save(tmp_path / "many.npy", np.tile(image, (n, 1, 1)))
    values = run(images=str(tmp_path / "many.npy"))["chapter"].values
    assert values["n_shown"] == min(n, 400)
    assert values["mean"] is None
