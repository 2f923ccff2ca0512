"""Where the source is published; `hatch_build.py` runs this file by itself, with Python alone."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path


def source_address(root: Path) -> str:
    """Give the public address that GitHub's workflows or the clone at `root` name, or ""."""
    url = "/".join(os.environ.get(one, "") for one in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    if not url.strip("/") and (root / ".git").exists():
        with suppress(OSError):
            git = ["git", "-C", str(root), "remote", "get-url", "origin"]
            url = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", url).removesuffix(".git")
    found = re.fullmatch(r"https://(?:[^/@]*@)?([^/@:]+)(?::\d+)?(/.*[^/])/*", url)
    return f"https://{found[1]}{found[2]}" if found else ""  # and no name or password


def branch() -> str:
    """Give the branch or tag that a workflow of GitHub's runs on, or the main branch."""
    return os.environ.get("GITHUB_REF_NAME") or "main"
