"""Synthetic heads, drawn once for all processes of a run: each takes seconds, and many ask."""

import atexit
import os
import shutil
import tempfile

from joblib import Memory

from skullnb import phantom

if "SKULLNB_DRAWN" not in os.environ:
    os.environ["SKULLNB_DRAWN"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["SKULLNB_DRAWN"], ignore_errors=True)


def draw_once() -> None:
    """Have heads read from the folder of this run once they have been drawn."""
    once = Memory(os.environ["SKULLNB_DRAWN"], verbose=0).cache
    phantom.variant, phantom.published_stack = once(phantom.variant), once(phantom.published_stack)
