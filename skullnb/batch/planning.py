"""What a large number of slices needs: arithmetic on what was measured and what is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isfinite, prod

import numpy as np
from numpy.typing import DTypeLike

from skullnb.errors import InvalidSetting


@dataclass(frozen=True)
class Plan:
    """The needs of many slices, with what they follow from.

    Attributes
    ----------
    measured : dict of str to float
        Slices a second, by what they were measured on; and, where known, `zarr_share`: bytes of
        compressed masks for each byte of plain ones.
    assumed : dict of str to float
        n_slices, rows, columns, bytes_a_pixel, gb_a_second (storage, reading and writing
        together).
    sizes_gb : dict of str to float
        `input`, and the masks as `npy`, `packed` and, where its share was measured, `zarr`; GB of
        10^9 bytes. Exact but for `zarr`.
    storage_s : dict of str to float
        Seconds that the storage takes to read the input and write masks of each kind.
    compute_s : dict of str to float
        Seconds that computing takes at each measured rate.
    total_s : dict of str to dict of str to float
        For each rate and kind of masks, the seconds of the slower of the two: they overlap, so
        this is what to expect at best.
    limit : dict of str to dict of str to str
        For each, which of the two it is: `storage` or `compute`.
    useful_rate : dict of str to float
        For each kind, slices a second beyond which storage is the limit: more workers than it
        takes to reach this have nothing to do.
    """

    measured: dict[str, float]
    assumed: dict[str, float]
    sizes_gb: dict[str, float]
    storage_s: dict[str, float]
    compute_s: dict[str, float]
    total_s: dict[str, dict[str, float]]
    limit: dict[str, dict[str, str]]
    useful_rate: dict[str, float]


def plan(
    n_slices: int,
    shape: tuple[int, int],
    rates: Mapping[str, float],
    gb_a_second: float,
    *,
    dtype: DTypeLike = np.float32,
    zarr_share: float | None = None,
) -> Plan:
    """Work out what many slices need; nothing is measured here.

    Parameters
    ----------
    n_slices : int
    shape : (H, W)
        Of a slice.
    rates : mapping of str to float
        Measured slices a second by name, such as ``{"1 thread": 120.0, "2 threads": 200.0}``,
        with the input in memory, so that they are about computing.
    gb_a_second : float
        Assumed bandwidth of the storage, in GB (10^9 bytes) a second, shared by reading and
        writing.
    dtype : dtype
        Of the input's pixels.
    zarr_share : float, optional
        Measured bytes of compressed masks for each byte of plain ones.

    Returns
    -------
    Plan

    Raises
    ------
    InvalidSetting
        If a number is not above 0.

    Examples
    --------
    >>> need = plan(100_000, (768, 624), {"1 thread": 500.0}, gb_a_second=1.0)
    >>> {name: round(gb, 1) for name, gb in need.sizes_gb.items()}
    {'input': 191.7, 'npy': 47.9, 'packed': 6.0}
    >>> need.limit["1 thread"], round(need.total_s["1 thread"]["packed"])
    ({'npy': 'storage', 'packed': 'compute'}, 200)
    """
    given = {"n_slices": n_slices, "gb_a_second": gb_a_second, **rates}
    if zarr_share is not None:
        given["zarr_share"] = zarr_share
    for name, number in (*given.items(), ("rows", shape[0]), ("columns", shape[1])):
        if not isfinite(number) or number <= 0:
            raise InvalidSetting(f"A plan needs {name} above 0, not {number!r}.")
    height, width = shape
    bytes_a_pixel = np.dtype(dtype).itemsize
    sizes = {
        "input": n_slices * prod(shape) * bytes_a_pixel / 1e9,
        "npy": n_slices * prod(shape) / 1e9,
        "packed": n_slices * height * ceil(width / 8) / 1e9,
    }
    if zarr_share is not None:
        sizes["zarr"] = sizes["npy"] * zarr_share
    storage = {
        kind: (sizes["input"] + size) / gb_a_second
        for kind, size in sizes.items()
        if kind != "input"
    }
    compute = {name: n_slices / rate for name, rate in rates.items()}
    measured = dict(rates) if zarr_share is None else {**rates, "zarr_share": zarr_share}
    return Plan(
        measured=measured,
        assumed={
            "n_slices": n_slices,
            "rows": height,
            "columns": width,
            "bytes_a_pixel": bytes_a_pixel,
            "gb_a_second": gb_a_second,
        },
        sizes_gb=sizes,
        storage_s=storage,
        compute_s=compute,
        total_s={
            name: {kind: max(seconds, wait) for kind, wait in storage.items()}
            for name, seconds in compute.items()
        },
        limit={
            name: {
                kind: "storage" if wait > seconds else "compute" for kind, wait in storage.items()
            }
            for name, seconds in compute.items()
        },
        useful_rate={kind: n_slices / wait for kind, wait in storage.items()},
    )
