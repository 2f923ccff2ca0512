"""Stacks of head MRI slices: what they hold, reading them from files, writing masks back.

`read_stack` opens a file or a folder, `Stack` is what it returns, `write_masks` puts masks back on
the grid the slices were cut from, and `write_stack` writes a stack that was made in memory.
"""

from skullnb.stack.anatomy import Grid
from skullnb.stack.inputs import Input, list_inputs, list_volumes, split_series
from skullnb.stack.model import Origin, Stack
from skullnb.stack.reading import read_stack
from skullnb.stack.writing import refuse_place, write_masks, write_stack

__all__ = [
    "Grid",
    "Input",
    "Origin",
    "Stack",
    "list_inputs",
    "list_volumes",
    "read_stack",
    "refuse_place",
    "split_series",
    "write_masks",
    "write_stack",
]
