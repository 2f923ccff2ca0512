"""Keep inputs for replaying: of those that are answered alike, the shortest.

python tests/fuzz/keep.py nii FILES... (a door, and inputs that the fuzzer kept or wrote).
"""

from __future__ import annotations

import re
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from fuzz.doors import CORPUS, answer, corpus

LONGEST = 1500  # bytes


def main() -> None:
    """Add to the corpus what is answered in a way that no other input is."""
    door, files = sys.argv[1], sys.argv[2:]
    found: dict[str, bytes] = {}
    for content in sorted([*corpus(door), *(Path(file).read_bytes() for file in files)], key=len):
        if len(content) <= LONGEST:
            with tempfile.TemporaryDirectory() as folder:
                (inputs := Path(folder) / "inputs").mkdir()
                said = answer(door, content, inputs).replace(folder, "")
            # What it quotes does not make it another answer.
            alike = re.sub(r"\(.*\)|'.*'|[^\w ]|\d", "", said)[:60]
            found.setdefault(alike, content)
    lines = sorted(b64encode(content).decode() for content in found.values())
    (CORPUS / f"{door}.txt").write_text("\n".join(lines) + "\n")
    print(f"{door}: {len(lines)} inputs")


if __name__ == "__main__":
    main()
