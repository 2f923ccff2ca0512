"""Masks of more slices than memory holds: resumable, on this machine or on a Dask cluster.

`mask_batch` does it, `read_masks` and `read_table` read what it wrote, and `plan` works out what a
large number of slices needs. What is written, and in which layout, is in `skullnb.batch.outputs`.
"""

from skullnb.batch.outputs import KINDS, kind_of, read_masks
from skullnb.batch.planning import Plan, plan
from skullnb.batch.resume import BatchResult, Counts
from skullnb.batch.run import is_for_batch, mask_batch
from skullnb.batch.sources import is_zarr, open_source
from skullnb.batch.table import read_table
from skullnb.batch.work import COLUMNS, EVIDENCE, one_opencv_thread

__all__ = [
    "COLUMNS",
    "EVIDENCE",
    "KINDS",
    "BatchResult",
    "Counts",
    "Plan",
    "is_for_batch",
    "is_zarr",
    "kind_of",
    "mask_batch",
    "one_opencv_thread",
    "open_source",
    "plan",
    "read_masks",
    "read_table",
]
