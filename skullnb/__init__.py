"""A classical skull mask for 2D head MRI slices, with the evidence for it.

>>> import numpy as np, skullnb
>>> image = np.zeros((60, 60))
>>> image[20:40, 20:40] = 1.0
>>> skullnb.create_skull_mask(image).shape
(60, 60)
"""

from skullnb.errors import SkullnbError
from skullnb.pipeline import (
    PipelineSettings,
    SkullMaskTrace,
    create_skull_mask,
    create_skull_masks,
    trace_skull_mask,
)
from skullnb.stack import Stack, read_stack, write_masks

__version__ = "0.1.0"

__all__ = [
    "PipelineSettings",
    "SkullMaskTrace",
    "SkullnbError",
    "Stack",
    "__version__",
    "create_skull_mask",
    "create_skull_masks",
    "read_stack",
    "trace_skull_mask",
    "write_masks",
]
