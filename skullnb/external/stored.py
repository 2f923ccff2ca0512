"""The external check's numbers as they were measured, for machines that don't have the heads.

`python -m skullnb.external` measures them anew and writes them; nothing in them is typed by hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import UnreadableFile
from skullnb.external.alternatives import ARTICLE
from skullnb.external.gallery import PICTURED, outlines, pictures, unscored
from skullnb.external.measuring import measure
from skullnb.heads import HEADS, fetch, is_here, load
from skullnb.results import Results, versions, write_text
from skullnb.stack import read_stack

RESULTS = Path(__file__).with_name("results.json")
PICTURES = Path(__file__).with_name("pictures.npz")
DIGITS = 6
# Another library version may move a last digit; a mask that differs moves more.
TOLERANCE = 2e-6


@lru_cache(maxsize=1)
def stored_results() -> dict[str, Any]:
    """Read the stored numbers.

    Returns
    -------
    dict
        What `measure` gives, and `date`, `versions`, `inputs` (sha256 of every file), `outlines`
        and `unscored`.

    Raises
    ------
    UnreadableFile
        If the file is damaged.

    Examples
    --------
    >>> sorted(set(stored_results()["slices"]["stack"]))[0]
    'colin27'
    """
    try:
        return dict(json.loads(RESULTS.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UnreadableFile(
            f"The stored numbers {RESULTS.name!r} of the real heads are damaged; install skullnb "
            "again."
        ) from error


def stored_pictures() -> dict[str, NDArray[np.uint8]]:
    """Read the components that show failures, as `skullnb.external.gallery.pictures` made them.

    Examples
    --------
    >>> stored_pictures()["parts_0"].shape[0]
    128
    """
    with np.load(PICTURES, allow_pickle=False) as file:
        return dict(file)


def write_results(mirror: str | Path = "") -> None:
    """Measure everything on the open heads and store it.

    Parameters
    ----------
    mirror : str or Path
        As in `skullnb.heads.load`.
    """
    stacks = {name: load(name, mirror) for name in HEADS}
    volume = read_stack(fetch(HEADS[PICTURED], mirror))
    found = _plain(measure(stacks))
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(),
        "inputs": {file.name: file.sha256 for head in HEADS.values() for file in head.files},
        **found,
        "outlines": _plain(outlines(stacks, found["reach"]["chosen_mm"])),
        "unscored": _plain(unscored(volume)),
    }
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
    write_text("{\n" + ",\n".join(lines) + "\n}\n", RESULTS)
    drawn: dict[str, Any] = pictures(volume)
    np.savez_compressed(PICTURES, **drawn)


def missing_heads() -> list[str]:
    """Name the open heads whose files are not on this machine."""
    return [name for name, head in HEADS.items() if not is_here(head)]


def recheck() -> str:
    """Measure again where the heads are here, and compare with what is stored.

    The alternatives to the article's rules are left out: they take most of the time.

    Returns
    -------
    str
        One Markdown sentence: what is missing, or how the two compare.
    """
    date = stored_results()["date"]
    missing = missing_heads()
    if missing:
        return (
            f"**Not measured here.** This machine lacks {', '.join(missing)}, so all numbers about "
            f"real heads below are the stored ones, measured on {date}. `skullnb heads fetch` "
            "downloads the heads; then this chapter checks the numbers."
        )
    fresh = _plain(measure({name: load(name) for name in HEADS}, (ARTICLE,)))
    del fresh["alternatives"]
    n, different = compare(stored_results(), fresh)
    if different:
        return (
            f"**Measured here again, and not the same:** {different} of {n} values differ from the "
            f"stored ones of {date}. Versions of the libraries may be the cause; the stored "
            "values are shown."
        )
    return f"**Measured here again:** all {n} values are as stored on {date}."


def compare(stored: Any, fresh: Any) -> tuple[int, int]:
    """Count the values that are compared, and those that differ.

    Parameters
    ----------
    stored, fresh : nested dicts and lists
        What only `stored` holds is not compared.

    Returns
    -------
    n, n_different : int

    Examples
    --------
    >>> compare({"a": [1.0, 2.0], "b": "x"}, {"a": [1.0, 2.5]})
    (2, 1)
    """
    if isinstance(fresh, Mapping):
        pairs = [(stored.get(name), value) for name, value in fresh.items()]
    elif isinstance(fresh, list):
        if not isinstance(stored, list) or len(stored) != len(fresh):
            return 1, 1
        pairs = list(zip(stored, fresh, strict=True))
    else:
        return 1, int(not _same(stored, fresh))
    counts = [compare(*pair) for pair in pairs]
    return sum(n for n, _ in counts), sum(different for _, different in counts)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE)
    return bool(one == other)


def _plain(value: Any) -> Any:
    """Turn what was measured into what JSON holds, rounded."""
    results = Results("external")
    results.record(value=value)
    return _rounded(results.value("value"))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value
