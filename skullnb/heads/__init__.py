"""Open heads by name: real MRI that anyone may download, with reference masks.

`load("studyforrest")` gives a `Stack`; `HEADS` says of each head what it is, under which licence,
and what kind of reference mask it has. No scan is part of this package: files are downloaded when
they are asked for, or taken from a mirror folder, and used only if their checksum is right.
"""

from skullnb.heads.files import MIRROR_VARIABLE, fetch, is_here
from skullnb.heads.loading import load
from skullnb.heads.registry import HEADS, Head, HeadFile, find_head

__all__ = [
    "HEADS",
    "MIRROR_VARIABLE",
    "Head",
    "HeadFile",
    "fetch",
    "find_head",
    "is_here",
    "load",
]
