import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from skullnb.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_and_picture_of_the_readme_is_there():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert any(target.endswith(".png") for target in targets)
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize(
    ("command", "option"), sorted(set(re.findall(r"skullnb (\w+)[^\n`]*?\s(--?[\w-]+)", README)))
)
def test_every_option_the_readme_shows_exists(command, option):
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert re.search(rf"{re.escape(option)}\b", shown)


def test_the_commands_of_the_readme_are_makefile_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M)


def test_no_measured_number_is_typed_in_the_readme():
    assert not re.findall(r"\b0\.\d+\b", README)
