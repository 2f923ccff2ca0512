"""What the article reports, typed once, with whose it is and which revision it comes from.

These numbers are only ever shown as *published*, beside what is *measured*. The article's data
is not public, so nothing here can be recomputed. Where no revision is named, a figure stands in the
second one, whose title is `TITLE`; the third is commit 3b8e846.
"""

from typing import Final, NamedTuple

AUTHOR: Final = "Youngung Han"
TITLE: Final = "A Classical Skull-Mask Baseline, and What 5 MRI Slices Did Not Prove"
# Of the newest revision; all of them are in the history of the file in the repository.
ADDRESS: Final = "https://youngunghan.github.io/scitechblog/posts/skull-mask-generation-mri/"
DATE: Final = "2025-12-29"
LICENCE: Final = "CC BY 4.0"
LICENCE_ADDRESS: Final = "https://creativecommons.org/licenses/by/4.0/"
REPOSITORY: Final = "https://github.com/youngunghan/scitechblog"
REPOSITORY_FILE: Final = "_posts/2025-12-29-skull-mask-generation-mri.md"


class Overlap(NamedTuple):
    """An IoU and a Dice coefficient, as printed in the article."""

    iou: float
    dice: float


SHAPE: Final = (5, 768, 624)
INTENSITY_RANGE: Final = (1.83e-07, 3.49e-05)
OTSU_THRESHOLD: Final = 23
EDGE_TOUCHING: Final = (0, 0, 0, 0, 0)
KERNEL_WIDTH: Final = 26

# The sweep's sizes are widths of the structuring element, as revision 3 says.
SWEEP: Final = {
    22: Overlap(0.9742, 0.9869),
    24: Overlap(0.9776, 0.9887),
    26: Overlap(0.9794, 0.9896),
    28: Overlap(0.9788, 0.9893),
    30: Overlap(0.9763, 0.9880),
}
FINAL: Final = Overlap(0.9795, 0.9896)

# IoU of each version of the pipeline's development.
VERSIONS: Final = {"v1": 0.73, "v2": 0.82, "v3-v4": 0.54, "v5": 0.96, "v6": 0.97, "v7": 0.98}

# One process, the author's machine. The projections to 100,000 slices are arithmetic on it.
MILLISECONDS_PER_SLICE: Final = 16.6
SLICES_PER_SECOND: Final = 60.2
PROJECTED_MINUTES_ONE_PROCESS: Final = 28
PROJECTED_MINUTES_EIGHT_PROCESSES: Final = 4
PLANNED_WEEKS: Final = 2

# Revision 3: eight processes at their ideal, which was not timed, and what has to be stored.
IDEAL_MINUTES_EIGHT_PROCESSES: Final = 3.5
INPUT_GB: Final = 192
MASKS_GB: Final = 48
