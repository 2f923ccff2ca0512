"""The copies of open heads that lie beside the project on some machines."""

import os
from pathlib import Path

import pytest

from skullnb.heads import MIRROR_VARIABLE


def real_data() -> Path:
    """Return the mirror folder that is named, or lies beside the project; else skip, loudly."""
    if named := os.environ.get(MIRROR_VARIABLE):
        return Path(named)
    for parent in Path(__file__).resolve().parents[2:]:
        for registry in sorted(parent.glob("*/data/registry.tsv")):
            return registry.parent
    pytest.skip(f"REAL DATA MISSING: {MIRROR_VARIABLE} names no copies; NO real head was read here")
