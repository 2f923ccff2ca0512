import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from skullnb import published
from skullnb.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_and_picture_of_the_readme_is_there():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert any(target.endswith(".png") for target in targets)
    assert not [target for target in targets if not (ROOT / target).exists()]


def shown_options(text):
    """Every command of skullnb in a text, with each option that it is shown with."""
    for words in re.findall(r"\bskullnb ([a-z][^\n`#]*)", text):
        command = re.match(r"heads \w+|\w+", words)[0]
        yield from ((command, option) for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", words))


@pytest.mark.parametrize(("command", "option"), sorted(set(shown_options(README))))
def test_every_option_the_readme_shows_exists(command, option):
    shown = CliRunner().invoke(main, [*command.split(), "--help"]).output
    assert re.search(rf"^  .*(?<!\S){re.escape(option)}\b", shown, re.M)


def test_the_commands_of_the_readme_are_makefile_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M)


def test_no_measured_number_is_typed_in_the_readme():
    assert set(re.findall(r"\b0\.\d+\b", README)) <= {str(published.FINAL.iou)}


def test_the_readme_is_read_in_a_minute():
    assert len(README.splitlines()) <= 60


def test_what_the_book_says_of_many_slices_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("scans.npy", np.eye(12)[np.newaxis].repeat(250, axis=0))
    page = (ROOT / "book" / "part-3-using.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## More slices")
    [command] = re.findall(r"```bash\nskullnb (.*)\n```", section)
    [code] = re.findall(r"```python\n(.*?)```", section, re.S)
    assert CliRunner().invoke(main, shlex.split(command)).exit_code == 0
    found = {}
    exec(code, found)
    assert found["masks"].shape == (100, 12, 12)
    assert len(found["rows"]) == 250
    assert len(found["odd"]) == 250  # a diagonal is no head
