"""Names and sidecars of masks as a BIDS derivative dataset.

Follows the BIDS specification's chapters on derivatives: the mask's name keeps its source's
entities, and a JSON file beside it says what it is and where it comes from.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skullnb import __version__
from skullnb.results import write_json

DESCRIPTION = "skullinner"
VERSION = "1.9.0"

_DATATYPES = ("anat", "func", "dwi")
_DATASET = "dataset_description.json"
_GENERATED_BY = [{"Name": "skullnb", "Version": __version__}]


def mask_path(name: str, source: Path, dataset: Path) -> Path:
    """Return where the mask of a volume belongs.

    Parameters
    ----------
    name : str
        The volume's name, such as `sub-01_T1w`. One without a subject becomes a subject's label.
    source : Path
        Where the volume is; the name of its folder is the data type where BIDS knows it as one.
    dataset : Path
        The derivative dataset.

    Returns
    -------
    Path

    Examples
    --------
    >>> path = mask_path("sub-01_ses-2_T1w", Path("raw/sub-01_ses-2_T1w.nii.gz"), Path("masks"))
    >>> path.as_posix()
    'masks/sub-01/ses-2/anat/sub-01_ses-2_desc-skullinner_mask.nii.gz'
    >>> mask_path("my scan", Path("my scan.nii"), Path("masks")).name
    'sub-myscan_desc-skullinner_mask.nii.gz'
    """
    entities = re.findall(r"(?:^|(?<=_))([a-z]+)-([A-Za-z0-9]+)(?=_|$)", name)
    if not entities or entities[0][0] != "sub":
        entities = [("sub", re.sub(r"[^A-Za-z0-9]", "", name) or "unknown")]
    kept = [f"{key}-{label}" for key, label in entities if key != "desc"]
    folders = [part for part in kept[:2] if part.startswith(("sub-", "ses-"))]
    datatype = source.parent.name if source.parent.name in _DATATYPES else _DATATYPES[0]
    file = "_".join([*kept, f"desc-{DESCRIPTION}", "mask.nii.gz"])
    return dataset.joinpath(*folders, datatype, file)


def sidecar_path(mask: Path) -> Path:
    """Return the path of a mask's JSON file.

    Examples
    --------
    >>> sidecar_path(Path("sub-01_mask.nii.gz")).name
    'sub-01_mask.json'
    """
    return mask.with_name(mask.name.removesuffix(".nii.gz") + ".json")


def write_sidecar(mask: Path, source: Path, found: Mapping[str, Any]) -> Path:
    """Write the JSON file that says what a mask is.

    Parameters
    ----------
    mask : Path
        As `mask_path` gives it.
    source : Path
        The file or folder it was made from. A file of a BIDS dataset is named by its place there,
        any other by its name alone.
    found : mapping
        What else to say; names in CamelCase.

    Returns
    -------
    Path
    """
    content = {
        "Description": "The outer surface of the skull and everything inside it (bone, CSF, "
        "brain), without the scalp",
        # BIDS knows Brain, Lesion, Face and ROI; a mask that holds bone is no brain mask.
        "Type": "ROI",
        "Sources": [_source(source)],
        "SpatialReference": "orig",
        "GeneratedBy": _GENERATED_BY,
        **found,
    }
    return write_json(content, sidecar_path(mask))


def describe_dataset(dataset: Path, source: Path) -> None:
    """Write a derivative dataset's description, unless it has one.

    Parameters
    ----------
    dataset : Path
        Its folder.
    source : Path
        A file it is made from; if that belongs to a BIDS dataset, there is a link to it.
    """
    if (dataset / _DATASET).exists():
        return
    content: dict[str, Any] = {
        "Name": "Skull masks",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": _GENERATED_BY,
    }
    root = _root(source)
    if root is not None:
        link = os.path.relpath(root, dataset.resolve())
        content["DatasetLinks"] = {"raw": Path(link).as_posix()}
    write_json(content, dataset / _DATASET)


def _source(source: Path) -> str:
    root = _root(source)
    if root is None:
        return source.name
    return f"bids:raw:{source.resolve().relative_to(root).as_posix()}"


def _root(source: Path) -> Path | None:
    """Return the BIDS dataset that a file belongs to."""
    return next((one for one in source.resolve().parents if (one / _DATASET).is_file()), None)
