"""Run notebooks where they lie, and store their outputs as nbval will compare them.

`python book/refresh.py notebooks/03-threshold.ipynb`; no name: all of them, index last.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def refresh(path: Path) -> None:
    """Run one notebook; keep outputs, tags and ids, and nothing of the run."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env={**os.environ, "OPENCV_FOR_THREADS_NUM": "1"})
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata.get("tags", [])}
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("needs_background", None)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    nbformat.write(notebook, path)
    print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    given = [Path(one) for one in sys.argv[1:]]
    for path in given or sorted(NOTEBOOKS.glob("*.ipynb")):
        refresh(path.resolve())
