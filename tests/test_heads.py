"""Open heads: the one inside the package, the registry, downloads, and what `load` gives."""

import hashlib
import http.server
import re
import socket
import threading
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pytest
from golden_data import real_data

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.heads import DATA, FOLDER_VARIABLE, HEADS, HeadFile, fetch, is_here, load, open_data
from skullnb.stack import read_stack, write_masks

CONTENT = {"a.bin": bytes(range(256)) * 40, "b.bin": b"another file"}


@pytest.fixture
def copies(monkeypatch):
    """The folder with copies of the open heads, set as the folder of heads."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(real_data()))
    return real_data()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A head of two small files, on a server of our own, with an empty folder."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    served, asked, files = tmp_path / "server", [], []
    served.mkdir()

    handler = http.server.SimpleHTTPRequestHandler
    monkeypatch.setattr(handler, "log_message", lambda self, *_: asked.append(self.path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, content in CONTENT.items():
        (served / name).write_bytes(content)
        address = f"http://127.0.0.1:{server.server_port}/{name}"
        digest = hashlib.sha256(content).hexdigest()
        files.append(HeadFile(f"small/{name}", len(content), digest, address))
    monkeypatch.setitem(HEADS, "small", replace(HEADS["colin27"], name="small", files=tuple(files)))
    yield served, asked
    server.shutdown()
    server.server_close()


def test_every_head_says_what_a_user_must_know_and_two_stacks_of_one_head_are_one_group():
    assert [*HEADS] == ["colin27", "studyforrest", "ubermuda-t2star", "ubermuda-flair", "mne-ecog"]
    for head in HEADS.values():
        assert head.licence
        assert re.search(r"\(\d{4}\)|GitHub", head.citation)
        assert head.reference == ("labels" if head.name == "colin27" else "semi-automatic")
    assert len({head.group for head in HEADS.values()}) == 4
    with pytest.raises(InvalidSetting, match=r"'colin'; there are colin27, study"):
        load("colin")


def test_the_registry_is_the_one_that_comes_with_the_copies():
    lines = (real_data() / "registry.tsv").read_text().splitlines()[1:]
    theirs = {
        (name, int(size), sha256, f"https://raw.githubusercontent.com/{owner}/{commit}/{path}")
        for name, size, sha256, owner, commit, path in (line.split("\t") for line in lines)
    }
    assert {tuple(file) for head in HEADS.values() for file in head.files} == theirs


def test_the_built_in_head_needs_no_network_and_no_folder_and_has_its_licence_beside_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(socket.socket, "connect", Mock(side_effect=AssertionError("asked")))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nothing"))
    assert is_here("studyforrest")
    assert load("studyforrest").images.shape == (16, 384, 274)
    assert not list(tmp_path.iterdir())
    text = (DATA / "studyforrest-LICENCE.txt").read_text()
    assert not [word for word in ("PDDL-1.0", "10.1038/sdata.2014.3") if word not in text]


def test_the_built_in_head_is_what_its_public_files_hold(copies):
    ours = load("studyforrest")
    theirs = read_stack([copies / file.name for file in HEADS["studyforrest"].files])
    np.testing.assert_array_equal(ours.images, theirs.images, strict=True)
    assert ours.spacing_mm == pytest.approx(theirs.spacing_mm, rel=1e-6)
    np.testing.assert_allclose(ours.grids[0].affine, theirs.grids[0].affine)


def test_files_are_downloaded_once_and_again_where_they_were_damaged(small, tmp_path):
    _, asked = small
    assert not is_here("small")
    paths = fetch("small")
    assert paths == (tmp_path / "kept/small/a.bin", tmp_path / "kept/small/b.bin") == fetch("small")
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert is_here("small")
    assert asked == ["/a.bin", "/b.bin"]
    paths[0].write_bytes(CONTENT["a.bin"][:100])
    assert fetch("small")[0].read_bytes() == CONTENT["a.bin"]


@pytest.mark.parametrize("damage", [b"something else", CONTENT["a.bin"][:-1], None])
def test_what_is_not_the_registered_file_is_refused_in_a_sentence_and_not_kept(small, damage):
    served, _ = small
    (served / "a.bin").unlink() if damage is None else (served / "a.bin").write_bytes(damage)
    why = "HTTPError" if damage is None else "its sha256 differs"
    with pytest.raises(UnreadableFile, match=rf"a.bin can't be had.*{why}.*{FOLDER_VARIABLE}"):
        fetch("small")
    assert not [path for path in (served.parent / "kept").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_what_the_registry_says_and_masks_go_out_on_its_grid(name, copies, tmp_path):
    """Its slices and reference masks are pinned, to the last bit, in `test_unchanged.py`."""
    head, stack = HEADS[name], load(name)
    assert (stack.name, len(stack), set(stack.groups)) == (name, head.n_slices, {head.group})
    assert stack.spacing_mm == pytest.approx(head.spacing_mm, abs=1e-6)
    assert nib.aff2axcodes(stack.grids[0].affine)[0] in "LR"
    if name == "colin27":
        assert (stack.grids[0].affine @ [90, 125, 72, 1]).tolist() == [0, 0, 0, 1]  # MNI's origin
        assert int(stack.grids[0].header["sform_code"]) == 4
    if "t2star" not in name:
        path = write_masks(stack.reference, tmp_path / f"{name}.nii.gz", stack)
        np.testing.assert_allclose(nib.load(path).affine, stack.grids[0].affine, rtol=1e-6)
        chosen = ",".join(map(str, stack.slice_numbers))
        np.testing.assert_array_equal(read_stack(path, slices=chosen).images, stack.reference)


def test_names_stand_for_heads_unless_there_is_such_a_path(tmp_path, monkeypatch, copies):
    assert open_data("ubermuda-flair").name == "ubermuda-flair"
    monkeypatch.setattr("skullnb.phantom.published_stack", lambda: load("studyforrest")[:3])
    assert len(open_data("phantom")) == 3
    chosen = open_data(slices="3,5")
    assert (chosen.name, chosen.slice_numbers) == ("studyforrest", (3, 5))
    np.testing.assert_array_equal(chosen.reference, load("studyforrest").reference[[3, 5]])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ubermuda-flair").mkdir()
    np.save(tmp_path / "ubermuda-flair" / "mine.npy", np.zeros((2, 8, 8)))
    assert len(open_data("ubermuda-flair")) == 2
    for images, word in (("", "reference"), ("", "groups"), ("phantom", "axis")):
        with pytest.raises(InvalidSetting, match=f"{word} is given for"):
            open_data(images, **{word: "0.5"})
