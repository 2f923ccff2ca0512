"""Stacks of head MRI slices: what they hold, reading them from files, writing masks back.

`read_stack` opens a file or a folder, `Stack` is what it returns, `write_masks` puts masks back on
the grid the slices were cut from, and `write_stack` writes a stack that was made in memory.
"""

from skullnb.stack.anatomy import Grid
from skullnb.stack.model import Origin, Stack
from skullnb.stack.reading import list_inputs, read_stack
from skullnb.stack.writing import refuse_place, write_masks, write_stack

__all__ = [
    "Grid",
    "Origin",
    "Stack",
    "list_inputs",
    "read_stack",
    "refuse_place",
    "write_masks",
    "write_stack",
]
