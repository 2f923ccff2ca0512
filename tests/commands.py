"""Commands, run within the process of a test."""

import sys

from click.testing import CliRunner

from skullnb.cli import main

COMMAND = [sys.executable, "-c", "from skullnb.cli import main; main()"]


def run(*words, expect=0):
    """Run `skullnb` with these words; it has to end with this exit code."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == expect, (result.output, result.exception)
    return result
