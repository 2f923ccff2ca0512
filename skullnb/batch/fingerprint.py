"""Knowing an input again, however large it is."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from skullnb.stack.names import sha256_of_file

# Inputs up to this size are known by all their bytes; larger ones by size, time and samples.
WHOLLY_HASHED = 64 * 2**20
_SAMPLES, _SAMPLE_BYTES = 64, 4096


def fingerprint(paths: Sequence[Path]) -> dict[str, str | int]:
    """Know files again: all their bytes where they are small, otherwise sizes, times and samples.

    Parameters
    ----------
    paths : sequence of Path
        In their order; only names travel, not folders.

    Returns
    -------
    dict
        files, bytes, sha256 (of what was looked at) and looked_at.

    Examples
    --------
    >>> here = fingerprint([Path(__file__)])
    >>> here["files"], here["looked_at"], len(here["sha256"])
    (1, 'every byte', 64)
    """
    stats = [path.stat() for path in paths]
    ends = list(accumulate(stat.st_size for stat in stats))
    total = ends[-1] if ends else 0
    digest = hashlib.sha256()
    wholly = total <= WHOLLY_HASHED
    for path, stat in zip(paths, stats, strict=True):
        digest.update(f"{path.name} {stat.st_size} ".encode())
        if wholly:
            digest.update(sha256_of_file(path).encode())
        else:
            digest.update(f"{stat.st_mtime_ns} ".encode())
    if not wholly:
        for sample in range(_SAMPLES):
            place = sample * (total - 1) // (_SAMPLES - 1)
            file = bisect_right(ends, place)
            inside = place - (ends[file] - stats[file].st_size)
            with paths[file].open("rb") as opened:
                opened.seek(max(0, min(inside, stats[file].st_size - _SAMPLE_BYTES)))
                digest.update(opened.read(_SAMPLE_BYTES))
    looked_at = "every byte" if wholly else "sizes, times and samples"
    return {
        "files": len(paths),
        "bytes": total,
        "sha256": digest.hexdigest(),
        "looked_at": looked_at,
    }
