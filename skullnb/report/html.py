"""Build the HTML from the staged book."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skullnb.errors import ReportFailed

# The package has no __main__.
_JUPYTER_BOOK = """
from skullnb.processes import end_with_parent
end_with_parent()
from jupyter_book.cli.main import main
main()
"""


def build_html(book: Path, work: Path, *, strict: bool, scrub: Callable[[Any], Any]) -> None:
    """Build the pages with Jupyter Book.

    Parameters
    ----------
    book : Path
        The staged book; removed when it is built.
    work : Path
        Gets `html/`.
    strict : bool
        Whether a warning is an error. A chapter that failed leaves gaps, so not with one.
    scrub : callable
        Takes full paths out of what an error says.

    Raises
    ------
    ReportFailed
        If there is no book at the end, with what Jupyter Book complained of.
    """
    built = work / "built"
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(book), "-q"]
    command += ["--path-output", str(built), *(["-W", "-n", "--keep-going"] if strict else [])]
    reading, holding = os.pipe()  # the system closes the held end when this process is killed
    with os.fdopen(reading) as stdin, os.fdopen(holding, "w"):
        done = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
            stdin=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            start_new_session=True,  # Ctrl-C is for the report, which may ignore it
        )
    html = built / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        said = scrub(re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)).strip().splitlines()
        complaints = [line for line in said if "WARNING" in line or "ERROR" in line] or said[-3:]
        raise ReportFailed(f"The book could not be built: {'; '.join(complaints[:3])}")
    for leftover in (html / "_static").rglob("*.map"):  # for those who debug the theme
        leftover.unlink()
    html.rename(work / "html")
    for leftover in (built, book):
        shutil.rmtree(leftover)
