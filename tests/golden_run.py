"""Run chapters without kernels, pages or pictures: `python golden_run.py FOLDER...`.

Each folder holds `run.json` (which chapters, and their parameters), and gets `results/` and
`texts.json`: for each chapter the texts, tables and sentences that its cells show, in order.
"""

import ast
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import conftest  # noqa: F401 - which draws synthetic heads once for all processes

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def shown_text(value: Any) -> str:
    """Return what a page shows of a value: Markdown if it has any, else plain; no pictures."""
    bundle = getattr(value, "_repr_mimebundle_", None)
    made = bundle() if callable(bundle) else None
    kinds = dict(made[0] if isinstance(made, tuple) else made or {})
    if "text/markdown" in kinds:
        return str(kinds["text/markdown"])
    if callable(getattr(value, "_repr_markdown_", None)):
        return str(value._repr_markdown_())
    if value is None or hasattr(value, "savefig") or type(value).__module__.startswith("ipyw"):
        return ""
    text = repr(value)
    return "" if text.startswith("<") else text  # what has no words of its own


def run_cell(source: str, names: dict[str, Any]) -> str:
    """Run one cell as a notebook does; return what it prints and shows."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None
    hidden = source.rstrip().endswith(";")
    return "\n".join(filter(None, [printed.getvalue(), "" if hidden else shown_text(value)]))


def run_chapter(path: Path, parameters: dict[str, Any], names: dict[str, Any]) -> list[str]:
    """Run a chapter's cells in order, which leave their names; return their texts."""
    import matplotlib.pyplot as plt
    from IPython import display

    names |= {"__name__": "__main__", "display": display.display}
    texts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            texts.append(run_cell("".join(cell["source"]), names))
        except Exception as error:
            error.add_note(f"in {path.stem}: " + "".join(cell["source"])[:200])
            raise
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(parameters)
    plt.close("all")
    return [text.strip() for text in texts if text.strip()]


def main(folders: list[Path]) -> None:
    import matplotlib as mpl
    from IPython import display

    from skullnb.report import chapter, live, plot

    mpl.use("agg")
    display.display = lambda shown, **_: print(
        shown_text(shown)
        if not isinstance(shown, dict)
        else shown.get("text/plain", "") * (live.MIME not in shown)
    )
    # A figure's summary in words says what it draws; a live one's masks are pinned elsewhere.
    plot.picture = chapter.picture = lambda figure, svg=False: (
        figure.draw_without_rendering() or {"image/png": ""}
    )
    for folder in folders:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        given = {**run["parameters"], "output_dir": str(folder)}
        texts = {one: run_chapter(NOTEBOOKS / f"{one}.ipynb", given, {}) for one in run["chapters"]}
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]])
