"""Explore a stack in JupyterLab: move a setting, see the mask and its scores change.

`Explorer` is a panel of native controls beside one picture that is updated in place. It works
without a front end too: set a control, or call `Explorer.move`, and read `Explorer.facts`.
"""

from skullnb.explore.compare import compare_settings
from skullnb.explore.explorer import Explorer
from skullnb.explore.state import ExplorerState

__all__ = ["Explorer", "ExplorerState", "compare_settings"]
