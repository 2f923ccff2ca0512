"""What indexes, journals and packagers read, each against the source of what it says."""

import re
import tomllib
from pathlib import Path

import neurolibre
import pandas as pd
import pytest
import yaml
from exercises import outputs
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import skullnb
from skullnb import metrics, phantom, published
from skullnb.pipeline import create_skull_masks
from skullnb.study import real_heads, timing

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = re.findall(r"Python :: (3\.\d+)", str(PROJECT["project"]["classifiers"]))
_, FRONT, PAPER = (ROOT / "book" / "paper.md").read_text(encoding="utf-8").split("---\n", 2)
PAPER = " ".join(PAPER.split())


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def workflow(name):
    return read(ROOT / ".github" / "workflows" / f"{name}.yml")


def said_in(chapter, pattern):
    """Numbers that a chapter's stored outputs say; nbval holds those against the code."""
    said = outputs(ROOT / "notebooks" / f"{chapter}.ipynb")
    text = " ".join(one.get("data", {}).get("text/markdown", "") for one in said)
    return re.search(pattern, text).groups()


def sentences():
    """Every sentence of the paper that has a number, made from the number's source."""
    scores, slices = real_heads.table("scores"), real_heads.table("slices")
    means = real_heads.summary(scores).xs("mean", level="head")
    px, mm = means.loc[real_heads.ARTICLE_PX], means.loc[real_heads.ARTICLE_MM]
    wrong = slices["chosen"] != "brain"
    signs = real_heads.sign_rates(slices["signs"], wrong).iloc[-1]
    poor = scores[scores["method"] == real_heads.ARTICLE_MM].merge(slices)
    poor = poor[poor["iou"] < real_heads.POOR_IOU]
    crops = real_heads.table("crops")["outcome"].value_counts()
    rules = real_heads.table("rules").set_index("rule")
    unscored = real_heads.table("unscored")
    seen = (unscored["signs"] != "").groupby(unscored["region"]).agg(["sum", "size"])
    eyes, top = seen.loc["at the eyes"], seen.loc["near the vertex"]
    border = real_heads.table("border_scores")
    border = border.groupby(["method", "head"])["iou"].mean().groupby("method").mean()
    eye = pd.read_csv(real_heads.FOLDER / "by_eye.csv").sum(numeric_only=True)
    stack = phantom.published_stack()
    masks = create_skull_masks(stack.images)
    pooled = metrics.iou(masks, stack.reference)
    mean = sum(map(metrics.iou, masks, stack.reference)) / len(stack)
    times, batches = (timing.recorded()["tables"][one] for one in ("published", "batches"))
    alone = times.set_index("way").loc["skullnb, mask alone", "faster"]
    batch = batches[batches["way"].str.startswith("skullnb")]["faster"].min()
    tuned = said_in("10-validation", r"\*\*(0\.\d+)\*\* on the slices .* \*\*(0\.\d+)\*\* on other")
    [lost] = said_in("10-validation", r"it has seen (\d+%)")
    [alike] = said_in("10-validation", r"are worth about \*\*(\d+)\*\* independent")
    [bound] = said_in("10-validation", r"So \*five\* perfect .* up to \*\*([\d.]+%)\*\*")
    n, n_heads, n_wrong = len(slices), slices["head"].nunique(), wrong.sum()
    return [
        f"On {published.SHAPE[0]} slices it reaches an intersection over union (IoU) of "
        f"{published.FINAL.iou}",
        f"On {n} slices of {n_heads} open heads",
        f"the mean IoU over heads is {px['iou']:.3f} with the published kernel of "
        f"{published.KERNEL_WIDTH} pixels, and {mm['iou']:.3f} if",
        f"On {n_wrong} of these slices the method took something else",
        f"take less than 1/{alone // 10 * 10:.0f} of the time",
        f"a batch is at least {int(batch)} times as fast",
        f"IoU is {mean:.4f} as a mean over slices and {pooled:.4f} over all pixels",
        f"fired on {(slices['n_edge_touching'] > 0).sum()} of the {n} slices",
        f"On {crops['changes nothing']} of {crops.sum()} crops the rule changed nothing; it "
        f"helped on {crops['helps']}, hurt on {crops['hurts']}, and on "
        f"{crops['loses the brain']} it lost",
        f"Filling holes changed {rules.loc['fill holes', 'n_changed']} of {n} masks",
        f"scores {tuned[0]} on the slices that chose it and {tuned[1]} on other heads; leaving out "
        f"single slices shows only {lost} of that",
        f"that {n - n_wrong} of them are worth about {alike} independent",
        f"And 5 cases without a failure leave a failure rate of up to {bound} possible",
        f"on {signs['n_hits']} of the {n_wrong} wrong choices and on {signs['n_false']} of the "
        f"other {n - n_wrong} slices",
        f"the mean IoU is {border['dark growth']:.3f} slice by slice, and "
        f"{border['whole head']:.3f} if the brain is first found",
        f"{eye.right} of {eye.looked_at} slices look right, and {eye.wrong_and_told} of the other "
        f"{eye.looked_at - eye.right} show a sign",
        f"off by {mm['assd']:.1f} mm on average, and {mm['nsd']:.0%} of it lies within 1 mm",
        f"Of the {len(poor)} slices with an IoU below {real_heads.POOR_IOU}, "
        f"{(poor['signs'] == '').sum()} show",
        f"The evidence is {n_heads} heads",
        f"signs show on {eyes['sum']} of {eyes['size']} at the eyes and on "
        f"{top['sum']} of {top['size']} near the vertex",
    ]


def test_every_number_of_the_paper_is_that_of_the_book():
    rest = PAPER
    for sentence in sentences():
        assert sentence in rest, f"book/paper.md should say: {sentence}"
        rest = rest.replace(sentence, "", 1)
    assert not re.findall(r"\S*\d\S*", re.sub(r"@\w+|\d?[23]D\b", "", rest))


def test_the_paper_has_the_parts_and_the_length_that_journals_want():
    wanted = ["Summary", "Statement of need", "State of the field", "Method and evidence", "Limits"]
    assert [one for one in wanted if f"# {one}" not in PAPER] == []
    assert 750 < len(PAPER.split()) < 1100
    told, cited = yaml.safe_load(FRONT), read(ROOT / "CITATION.cff")
    assert told["title"] == cited["title"]
    assert [one["name"] for one in told["authors"]] == [one["name"] for one in cited["authors"]]
    sources = (ROOT / "book" / told["bibliography"]).read_text(encoding="utf-8")
    assert set(re.findall(r"@(\w+)", PAPER)) <= {*re.findall(r"^@\w+\{(\w+),", sources, re.M)}


def test_codemeta_says_what_the_citation_says():
    said, cited = read(ROOT / "codemeta.json"), read(ROOT / "CITATION.cff")
    assert (said["@type"], said["name"]) == ("SoftwareSourceCode", "skullnb")
    same = {"alternateName": "title", "description": "abstract", "keywords": "keywords"}
    assert {one: said[one] for one in same} == {one: cited[key] for one, key in same.items()}
    assert said["version"] == cited["version"] == skullnb.__version__
    assert said["license"] == f"https://spdx.org/licenses/{cited['license']}"
    assert said["runtimePlatform"] == f"Python {PYTHONS[0]} to {PYTHONS[-1]}"
    assert [one["name"] for one in said["author"]] == [one["name"] for one in cited["authors"]]
    for work, reference in zip(said["referencePublication"], cited["references"], strict=True):
        names = [(one["givenName"], one["familyName"]) for one in work["author"]]
        known = [(one["given-names"], one["family-names"]) for one in reference["authors"]]
        assert (work["name"], names) == (reference["title"], known)
        when = reference.get("date-published", reference.get("year"))
        assert work["datePublished"] == str(when)
        address = work.get("identifier", work.get("url"))
        assert address.endswith(reference.get("doi", reference.get("url")))


@pytest.mark.parametrize("server", ["", "https://git.example"])
def test_the_indexs_page_links_to_the_source_only_where_its_address_is_known(
    monkeypatch, tmp_path, server
):
    about = {"SERVER_URL": server, "REPOSITORY": "lab/skullnb", "REF_NAME": "v1.2.3"}
    for name, value in about.items():
        monkeypatch.setenv(f"GITHUB_{name}", value if server else "")
    own = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "skullnb/report/address.py")
    (tmp_path / "skullnb" / "report").mkdir(parents=True)
    for name in own:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "skullnb" / "__init__.py").write_text('__version__ = "1.2.3"\n', encoding="utf-8")
    core = ProjectMetadata(str(tmp_path), PluginManager()).core
    links = re.findall(r"\]\(([^)]*)\)", core.readme)
    relative = [one for one in links if not one.startswith("https://")]
    if not server:
        assert not core.urls
        assert relative
        return
    assert not relative
    assert core.urls["Source"] == "https://git.example/lab/skullnb"
    assert "https://git.example/lab/skullnb/raw/v1.2.3/book/pictures/slices.png" in links
    assert "https://git.example/lab/skullnb/blob/v1.2.3/SECURITY.md" in links


def test_every_python_that_the_package_names_is_tested():
    pythons = workflow("test")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons == PYTHONS


def test_the_slow_targets_run_weekly_and_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    weekly = workflow("weekly")["jobs"]["slow"]["strategy"]["matrix"]["target"]
    assert {"coverage", "nbval", "mutants", "same-answer", "fuzz"} <= set(weekly)
    assert [one for one in weekly if not re.search(rf"^{one}:", makefile, re.M)] == []


def test_only_the_job_that_publishes_may_say_who_it_is():
    jobs = workflow("release")["jobs"]
    may = {name for name, job in jobs.items() if "id-token" in (job["permissions"] or {})}
    assert may == {"publish"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert not [step for step in jobs["publish"]["steps"] if "run" in step]


def test_conda_asks_for_the_libraries_that_the_package_asks_for():
    text = (ROOT / ".github" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    run = yaml.safe_load(text)["requirements"]["run"]
    ours = [one.replace(">=", " >=") for one in PROJECT["project"]["dependencies"]]
    renamed = {"opencv-python-headless >=4.10.0.84": "py-opencv >=4.10.0"}
    assert sorted(run[1:]) == sorted(renamed.get(one, one) for one in ours)
    assert f'version: "{skullnb.__version__}"' in text


def test_the_environment_installs_extras_that_exist_with_the_versions_tested():
    told = read(ROOT / "environment.yml")
    lines = next(one["pip"] for one in told["dependencies"] if isinstance(one, dict))
    assert "-c constraints.txt" in lines
    [extra] = [one for line in lines for one in re.findall(r"-e \.\[(\w+)\]", line)]
    assert extra in PROJECT["project"]["optional-dependencies"]


def test_the_export_has_neurolibres_layout_and_every_page_of_the_contents(tmp_path):
    out, content = tmp_path / "out", tmp_path / "out" / "content"
    neurolibre.export(out)
    toc = read(content / "_toc.yml")
    files = [toc["root"], *(one["file"] for part in toc["parts"] for one in part["chapters"])]
    assert [one for one in files if not [*content.glob(f"{one}.*")]] == []
    assert not [one for path in content.glob("notebooks/*.ipynb") for one in outputs(path)]
    assert read(content / "_config.yml")["execute"]["execute_notebooks"] == "force"
    asked = (out / "binder" / "requirements.txt").read_text(encoding="utf-8")
    assert f"skullnb[lab]=={skullnb.__version__}" in asked
    assert {"paper.md", "paper.bib"} <= {one.name for one in out.iterdir()}
