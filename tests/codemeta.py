"""Write codemeta.json from CITATION.cff and pyproject.toml: `python tests/codemeta.py`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "Programming Language :: Python :: 3."
KINDS = {"blog": "BlogPosting", "article": "ScholarlyArticle"}


def person(author: dict[str, str]) -> dict[str, str]:
    if "name" in author:
        return {"@type": "Organization", "name": author["name"]}
    names = {"givenName": author["given-names"], "familyName": author["family-names"]}
    return {"@type": "Person", **names}


def work(reference: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"@type": KINDS[reference["type"]], "name": reference["title"]}
    said["author"] = [person(one) for one in reference["authors"]]
    if "doi" in reference:
        said["identifier"] = f"https://doi.org/{reference['doi']}"
    if "url" in reference:
        said["url"] = reference["url"]
    said["datePublished"] = str(reference.get("date-published", reference.get("year")))
    return said


def codemeta() -> dict[str, Any]:
    """Say what CITATION.cff says in the words of CodeMeta 2."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    minors = [one.removeprefix(PYTHON) for one in project["classifiers"] if PYTHON in one]
    return {
        "@context": "https://doi.org/10.5063/schema/codemeta-2.0",
        "@type": "SoftwareSourceCode",
        "name": project["name"],
        "alternateName": told["title"],
        "description": told["abstract"],
        "version": told["version"],
        "license": f"https://spdx.org/licenses/{told['license']}",
        "author": [person(one) for one in told["authors"]],
        "keywords": told["keywords"],
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python 3.{minors[0]} to 3.{minors[-1]}",
        "operatingSystem": ["Linux", "macOS", "Windows"],
        "referencePublication": [work(one) for one in told["references"]],
    }


def text() -> str:
    return json.dumps(codemeta(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (ROOT / "codemeta.json").write_text(text(), encoding="utf-8")
