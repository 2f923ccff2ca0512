"""A classical skull mask for 2D head MRI slices, with the evidence for it.

>>> import numpy as np, skullnb
>>> image = np.zeros((60, 60))
>>> image[20:40, 20:40] = 1.0
>>> skullnb.create_skull_mask(image).shape
(60, 60)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skullnb.errors import SkullnbError
from skullnb.pipeline import (
    PipelineSettings,
    SkullMaskTrace,
    SliceMeasure,
    create_skull_mask,
    create_skull_masks,
    measure_slice,
    measure_stack,
    trace_skull_mask,
)

if TYPE_CHECKING:
    from skullnb import heads, metrics, phantom
    from skullnb.stack import Stack, read_stack, write_masks
    from skullnb.volume import skull_mask_of_volume

__version__ = "0.2.0.dev0"

__all__ = [
    "PipelineSettings",
    "SkullMaskTrace",
    "SkullnbError",
    "SliceMeasure",
    "Stack",
    "__version__",
    "create_skull_mask",
    "create_skull_masks",
    "heads",
    "measure_slice",
    "measure_stack",
    "metrics",
    "phantom",
    "read_stack",
    "skull_mask_of_volume",
    "trace_skull_mask",
    "write_masks",
]

# Loaded when first asked for: the module that holds a name. Of others the name is the module's.
_HOLDERS = dict.fromkeys(("Stack", "read_stack", "write_masks"), "stack")
_HOLDERS["skull_mask_of_volume"] = "volume"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOLDERS.get(name, name)}")
    return getattr(module, name) if name in _HOLDERS else module


def __dir__() -> list[str]:
    return __all__
