"""Which open heads there are: their files, where these come from, and what may be done with them.

The files themselves, with size, sha256 and the public repository, commit and path that each comes
from, are listed in `files.tsv` beside this module.
"""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from skullnb.errors import InvalidSetting

ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"

LABELS = "labels"
SEMI_AUTOMATIC = "semi-automatic"


@dataclass(frozen=True)
class HeadFile:
    """One file of a head.

    Attributes
    ----------
    name : str
        Folder and name, in the cache and in a mirror folder, such as `colin27/standard_mri.mat`.
    n_bytes : int
    sha256 : str
        64 hexadecimal digits.
    repository, commit, path : str
        The public place it comes from.
    """

    name: str
    n_bytes: int
    sha256: str
    repository: str
    commit: str
    path: str

    @property
    def address(self) -> str:
        """Where it is downloaded from; a commit's files never change."""
        return ADDRESS.format(repository=self.repository, commit=self.commit, path=self.path)


@dataclass(frozen=True)
class Head:
    """One stack of an open head.

    Attributes
    ----------
    name : str
        What `load` takes.
    title : str
    group : str
        The head it is of: stacks of one head share it, and belong to the same side of a split.
    contrast : str
    slices : str
        Which axial slices of the files, as `skullnb.stack.read_stack` takes them; "" is all.
    n_slices : int
    spacing_mm : (row, column)
    licence : str
    citation : str
    reference : {"labels", "semi-automatic"}
        The kind of its reference mask.
    trust : str
        How the reference mask came about and how far it goes.
    """

    name: str
    title: str
    group: str
    contrast: str
    slices: str
    n_slices: int
    spacing_mm: tuple[float, float]
    licence: str
    citation: str
    reference: str
    trust: str

    @cached_property
    def files(self) -> tuple[HeadFile, ...]:
        """Its files, in the order of their names."""
        with Path(__file__).with_name("files.tsv").open(encoding="utf-8", newline="") as table:
            rows = [
                row for row in csv.DictReader(table, delimiter="\t") if row["head"] == self.name
            ]
        return tuple(
            HeadFile(
                row["file"],
                int(row["bytes"]),
                row["sha256"],
                row["repository"],
                row["commit"],
                row["path"],
            )
            for row in rows
            if row["head"] == self.name
        )

    @property
    def n_bytes(self) -> int:
        """Bytes to download."""
        return sum(file.n_bytes for file in self.files)


_SEMI_AUTOMATIC = (
    "Found by searching for the outer table of the skull along rays from the skin, smoothed and "
    "checked by eye by non-experts; no expert drew it. Other thresholds of that search moved it by "
    "an IoU of 0.975 to 0.993; against the labels of Colin27 it scored 0.968 to 0.988."
)

HEADS = {
    head.name: head
    for head in (
        Head(
            name="colin27",
            title="Colin27, one head, the average of 27 scans",
            group="colin27",
            contrast="T1",
            slices="50:136",
            n_slices=86,
            spacing_mm=(1.0, 1.0),
            licence="no separate terms for the data; its repository, FieldTrip, is under GPL-3",
            citation=(
                "Holmes et al. (1998), Enhancement of MR images using registration for signal "
                "averaging, J Comput Assist Tomogr 22(2):324-333; files from FieldTrip, "
                "Oostenveld et al. (2011), Comput Intell Neurosci 2011:156869."
            ),
            reference=LABELS,
            trust=(
                "The labels for skull and for what is inside it, distributed with the head, joined "
                "and filled slice by slice; the only reference here that is made from labels."
            ),
        ),
        Head(
            name="studyforrest",
            title="studyforrest, one head, face removed",
            group="studyforrest",
            contrast="T1",
            slices="",
            n_slices=16,
            spacing_mm=(0.666667, 0.699988),
            licence="PDDL 1.0 (public domain)",
            citation=(
                "Hanke et al. (2014), A high-resolution 7-Tesla fMRI dataset from complex natural "
                "stimulation with an audio movie, Sci Data 1:140003."
            ),
            reference=SEMI_AUTOMATIC,
            trust=_SEMI_AUTOMATIC,
        ),
        Head(
            name="ubermuda-t2star",
            title="A clinical 1.5 T examination that its subject made public",
            group="ubermuda",
            contrast="T2*",
            slices="",
            n_slices=8,
            spacing_mm=(0.44921875, 0.44921875),
            licence="CC BY-SA 4.0",
            citation="MRI data of the brain of the GitHub user ubermuda, given by himself.",
            reference=SEMI_AUTOMATIC,
            trust=_SEMI_AUTOMATIC + " Where two readings differed, this is what they agreed on.",
        ),
        Head(
            name="ubermuda-flair",
            title="A clinical 1.5 T examination that its subject made public",
            group="ubermuda",
            contrast="FLAIR",
            slices="",
            n_slices=8,
            spacing_mm=(0.71875, 0.71875),
            licence="CC BY-SA 4.0",
            citation="MRI data of the brain of the GitHub user ubermuda, given by himself.",
            reference=SEMI_AUTOMATIC,
            trust=_SEMI_AUTOMATIC + " Where two readings differed, this is what they agreed on.",
        ),
        Head(
            name="mne-ecog",
            title="The ECoG sample subject of MNE, one head, face removed, very bright scalp",
            group="mne-ecog",
            contrast="T1",
            slices="129:152:2",
            n_slices=12,
            spacing_mm=(1.0, 1.0),
            licence="BSD-3-Clause",
            citation=(
                "MNE miscellaneous data; Gramfort et al. (2013), MEG and EEG data analysis with "
                "MNE-Python, Front Neurosci 7:267."
            ),
            reference=SEMI_AUTOMATIC,
            trust=_SEMI_AUTOMATIC,
        ),
    )
}
"""The open heads by name."""


def find_head(name: str) -> Head:
    """Return what is known of a head.

    Parameters
    ----------
    name : str

    Returns
    -------
    Head

    Raises
    ------
    InvalidSetting
        If there is no such head.

    Examples
    --------
    >>> find_head("ubermuda-flair").group
    'ubermuda'
    """
    if name not in HEADS:
        raise InvalidSetting(f"There is no open head {name!r}; there are {', '.join(HEADS)}.")
    return HEADS[name]
