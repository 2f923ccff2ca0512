"""Where this project's source is public; `hatch_build.py` runs this file with Python alone."""

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path


def source(root: Path) -> tuple[str, str]:
    """Give address ("" if unknown) and branch of the source, from GitHub's workflows or a clone."""
    branch = os.environ.get("GITHUB_REF_NAME") or "main"
    url = "/".join(os.environ.get(one, "") for one in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    if not url.strip("/") and (root / ".git").exists():
        with suppress(OSError):
            git = ["git", "-C", str(root), "remote", "get-url", "origin"]
            url = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", url).removesuffix(".git")
    found = re.fullmatch(r"https://(?:[^/@]*@)?([^/@:]+)(?::\d+)?(/.*[^/])/*", url)
    return (f"https://{found[1]}{found[2]}" if found else ""), branch  # no name, no password
