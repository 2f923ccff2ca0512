"""Write the book in NeuroLibre's layout: `python book/neurolibre.py FOLDER`, or `make neurolibre`.

All of it is copied from the sources, or made from them: `content/` has notebooks, pages, settings
and contents, `binder/` says what to install, and `paper.md` and `paper.bib` are the article beside
them. NeuroLibre runs the notebooks itself, so they go without outputs, and figures that are live in
`skullnb report` stand still. There is no `data_requirement.json`: the head is inside the package.
"""

import shutil
import sys
from pathlib import Path

import nbformat
import yaml

import skullnb
from skullnb import heads
from skullnb.pipeline import PipelineSettings
from skullnb.report import live

ROOT = Path(__file__).resolve().parents[1]
MINUTES_PER_CELL = 10


def export(folder: Path) -> None:
    """Write `folder`, which must not be there yet."""
    content, binder = folder / "content", folder / "binder"
    book = content / "book"
    scripts = "neurolibre.py", "measure_*.py", "refresh.py"
    unwanted = shutil.ignore_patterns("__pycache__", "paper.md", *scripts)
    shutil.copytree(ROOT / "book", book, ignore=unwanted)
    (book / "_generated").mkdir()
    head, slices = heads.load("studyforrest"), book / "assets" / "live"
    trial = live.try_it(head, PipelineSettings(), slices)
    (book / "_generated" / "try-it.html").write_text(trial, encoding="utf-8")
    (content / "notebooks").mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, content / "notebooks" / path.name)
    config = yaml.safe_load((book / "_config.yml").read_text(encoding="utf-8"))
    config["execute"] = {"execute_notebooks": "force", "timeout": MINUTES_PER_CELL * 60}
    config["sphinx"]["config"]["suppress_warnings"] = ["mystnb.unknown_mime_type"]  # live figures
    write_yaml(content / "_config.yml", config)
    contents = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf-8"))
    write_yaml(content / "_toc.yml", {**contents, "root": "notebooks/index"})
    binder.mkdir()
    shutil.copy(ROOT / "constraints.txt", binder)
    wanted = ["-c constraints.txt", f"skullnb[lab]=={skullnb.__version__}", "repo2data>=2.6"]
    (binder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    (binder / "runtime.txt").write_text("python-3.12\n", encoding="utf-8")
    paper = (ROOT / "book" / "paper.md").read_text(encoding="utf-8")
    paper = paper.replace("bibliography: references.bib", "bibliography: paper.bib")
    (folder / "paper.md").write_text(paper, encoding="utf-8")
    shutil.copy(ROOT / "book" / "references.bib", folder / "paper.bib")


def write_yaml(path: Path, settings: dict[str, object]) -> None:
    """Write settings in the order that they have."""
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    export(Path(sys.argv[1]))
