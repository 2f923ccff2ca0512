"""Run a chapter's exercise without a kernel: the cells before it, an answer, its check."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def cells(path: Path, tag: str) -> list[nbformat.NotebookNode]:
    found = nbformat.read(path, as_version=4).cells
    return [cell for cell in found if tag in cell.metadata.get("tags", [])]


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    """Give all that a notebook's cells have stored."""
    found = nbformat.read(path, as_version=4).cells
    return [one for cell in found for one in cell.get("outputs", [])]


def answer_block(path: Path) -> str:
    """Give the Python of the answer to the chapter's exercise; nothing where it is in words."""
    text = "\n".join(cell.source for cell in cells(path, "answer"))
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return next((str(one) for one in blocks if "answer = " in one), "")


def state_before_exercise(path: Path, **parameters: Any) -> dict[str, Any]:
    """Run those of the cells before the exercise that its answer and its check build upon."""
    code = [one for one in nbformat.read(path, 4).cells if one.cell_type == "code"]
    (place,) = [number for number, cell in enumerate(code) if cell in cells(path, "exercise")]
    wanted = names_in(ast.parse(code[place].source + "\n" + answer_block(path)), ast.Load)
    state: dict[str, Any] = {}
    needed: list[ast.stmt] = []
    for cell in reversed(code[:place]):
        if "parameters" in cell.metadata.get("tags", []):
            run(ast.parse(cell.source), state)
            state.update(parameters)
            continue
        for statement in reversed(ast.parse(cell.source).body):
            if names_in(statement, ast.Store) & wanted:
                wanted |= names_in(statement, ast.Load)
                needed.insert(0, statement)
    run(ast.Module(needed, []), state)
    return state


def names_in(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Collect the names that a piece of code reads (Load), or makes (Store)."""
    nodes = [one for one in ast.walk(tree) if isinstance(getattr(one, "ctx", None), context)]
    # Filling a part of an array makes the array.
    nodes = [one.value if isinstance(one, ast.Subscript) else one for one in nodes]
    names = {one.id for one in nodes if isinstance(one, ast.Name)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    if context is ast.Store:
        names |= {(one.asname or one.name) for node in imports for one in node.names}
    return names


def verdict(path: Path, state: dict[str, Any], answer: str) -> Any:
    """Put an answer in the place of the three dots and give what the exercise's check says."""
    (cell,) = cells(path, "exercise")
    *setup, _, check = ast.parse(cell.source).body
    mine = dict(state)
    run(ast.Module(setup, []), mine)
    run(ast.parse(answer), mine)
    run(ast.parse(f"_verdict = {ast.unparse(check)}"), mine)
    return mine["_verdict"]


def run(tree: ast.Module, state: dict[str, Any]) -> None:
    exec(compile(tree, "<chapter>", "exec"), state)


def small_head(n_slices: int = 3, size: int = 120) -> np.ndarray:
    """Draw a tiny synthetic head: brain with a hole and a bay, dark bone, bright scalp."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    noise = np.random.default_rng(3)
    slices = []
    for number in range(n_slices):
        radius = np.hypot(rows - 3, columns) + number
        hole = np.hypot(rows - 14, columns) < 9
        bay = (np.hypot(rows + 10, columns) < 8) | ((np.abs(columns) < 3) & (rows < -10))
        tissue = 0.55 + 0.006 * rows  # brighter towards one side, as near a coil
        image = tissue * ((radius < 34) & ~hole & ~bay) + 0.45 * ((radius > 42) & (radius < 48))
        image += np.abs(noise.normal(0, 0.02, image.shape))
        image[10, 10] = 1.2 + 0.2 * number  # a bright pixel of its own, as vessels are
        slices.append(40 + 300 * image)  # no scale begins at zero by itself
    return np.stack(slices)
