"""What a release promises: one version everywhere, the README's commands, a light import."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spikemnist
from spikemnist.data import load_digits
from spikemnist.encoding import ENCODERS, RateEncoder
from spikemnist.models import Classifier, LeakyMLP, summary
from spikemnist.ops import SURROGATES

ROOT = Path(__file__).resolve().parent.parent
VERSION = spikemnist.__version__
COMMANDS = [
    "python -m pip install . && spikemnist train",
    'python -m pip install -e ".[test]" && pytest',
]
ROOMS = [name for name in spikemnist.__all__ if inspect.ismodule(getattr(spikemnist, name))]
HEAVY = ["matplotlib", "numba", "torchvision", "triton", "spikemnist.cli"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("spikemnist") == VERSION


def test_readme_has_the_two_commands_each_in_a_block_of_its_own() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)
    assert [block.rstrip("\n") for block in blocks if "pip install" in block] == COMMANDS


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = read("README.md")
    assert text.count("\n") <= 176
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", text)
    files = re.findall(r"`((?:docs|examples|src)/[^`]*|[A-Z]+\.md)`", text)
    assert len(links) > 0
    assert len(files) > 5
    for path in (*links, *files):
        assert (ROOT / path).exists(), path


def test_the_five_lines_of_the_readme_fire_the_spikes_of_the_program_for_snntorch() -> None:
    section = read("README.md").partition("## Beside snnTorch\n")[2].partition("\n## ")[0]
    generator = torch.Generator().manual_seed(0)
    spikes = RateEncoder(num_steps=25)(load_digits()[1].images[:100], generator=generator)
    results = []
    for code in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        names = {"spikes": spikes}
        exec(compile(code, "README.md", "exec", dont_inherit=True), names)
        results.append((names["fired"], names["membranes"]))
    (fired, membranes), (ours, our_membranes) = results
    assert fired.sum() > 100
    assert torch.equal(ours, fired)
    assert torch.allclose(our_membranes, membranes, atol=1e-5)


def test_the_table_of_the_readme_is_that_of_summary() -> None:
    classifier = Classifier(LeakyMLP(hidden=512), "latency")
    printed = repr(summary(classifier, load_digits()[1].images)).splitlines()
    shown = read("README.md").partition(f"{printed[0]}\n")[2].partition("\n```")[0].splitlines()
    assert shown[0].split() == printed[1].split()
    for line, ours in zip(shown[1:3], printed[2:4], strict=True):
        name, neurons, parameters, *_ = re.split(r"\s\s+", line.strip())
        assert [name, neurons, parameters] == re.split(r"\s\s+", ours.strip())[:3]


ADDRESSES = runpy.run_path(str(ROOT / "docs/extensions/addresses.py"))
ELSEWHERE = 'license = "MIT"\n\n[project.urls]\nRepository = "https://github.com/somebody/spikes"\n'


@pytest.mark.parametrize(
    ("project", "badge"),
    [
        ('[project]\nname = "spikemnist"\n', None),
        (ELSEWHERE, "https://colab.research.google.com/github/somebody/spikes/blob/main/a.ipynb"),
    ],
)
def test_the_notebook_links_to_colab_once_the_project_has_an_address(
    project: str, badge: str | None
) -> None:
    notebook = json.dumps({"cells": [{"source": ["# Title\n", "\n", "A text."]}]})
    shown = ADDRESSES["with_badge"](notebook, ADDRESSES["repository"](project), "a.ipynb")
    (cell,) = json.loads(shown)["cells"]
    links = re.findall(r"\]\((https://colab[^)]+/blob/[^)]+)\)", "".join(cell["source"]))
    assert links == [badge] * (badge is not None)
    assert cell["source"][0] == "# Title\n"


def test_every_address_of_the_repository_is_that_of_the_project() -> None:
    address = ADDRESSES["repository"](read("pyproject.toml"))
    cited = re.findall(r'^repository-code: "?([^"\n]+)', read("CITATION.cff"), re.MULTILINE)
    assert cited == [address] * bool(address)
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    pages += ROOT.glob("examples/*.ipynb")
    for page in pages:
        found = re.findall(r"https://github\.com/[\w.-]+/spikemnist", page.read_text("utf-8"))
        assert {*found} <= {address}, page


def requirements() -> dict[str, str]:
    """Return the range of each dependency in pyproject.toml, such as ``>=2.4,<3``."""
    listed = read("pyproject.toml").split("\ndependencies = [")[1].split("\n]")[0]
    return dict(re.findall(r'^  "([\w-]+)([<>=.,\d]+)', listed, re.MULTILINE))


def test_tested_versions_are_in_range() -> None:
    """In pyproject.toml, the docs, and the workflow with the oldest."""
    ranges, page = requirements(), read("docs/installation.md")
    workflow, conda = read(".github/workflows/tests.yml"), read("environment.yml")
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) >= 10
    for name, oldest, newest in rows:
        floor, cap = re.fullmatch(r">=([\d.]+)(?:,<([\d.]+))?", ranges[name]).groups()
        assert f"{oldest}.".startswith(f"{floor}."), name
        assert cap is None or tuple(map(int, newest.split("."))) < tuple(map(int, cap.split(".")))
        (pinned,) = re.findall(rf'"{name}==([\d.]+?)(?:\.\*)?"', workflow)
        assert f"{pinned}.".startswith(f"{floor}."), name
        package = {"torch": "pytorch", "matplotlib": "matplotlib-base"}.get(name, name)
        assert f"{package}{ranges[name]}" in conda.replace(" ", ""), name


def test_the_pins_of_the_course_are_in_range_and_those_of_the_page_for_teachers() -> None:
    lines = read("examples/course/requirements.txt").splitlines()
    pins = dict(line.split("==") for line in lines)
    assert not [line for line in lines if re.search(r"[@+]|spikemnist", line)]
    for name, wanted in requirements().items():
        floor, cap = re.fullmatch(r">=([\d.]+),<([\d.]+)", wanted).groups()
        low, pin, high = (tuple(map(int, text.split("."))) for text in (floor, pins[name], cap))
        assert low <= pin < high, name
    shown = re.findall(r"\b(torch\w*)==([\d.]+)", read("docs/teachers.md"))
    assert {*shown} == {(name, pins[name]) for name in ("torch", "torchvision")}


@pytest.mark.parametrize(("tag", "code"), [((), 0), ((f"v{VERSION}",), 0), (("v99.0.0",), 1)])
def test_the_release_is_the_same_everywhere(tag: tuple[str, ...], code: int) -> None:
    words = [sys.executable, str(ROOT / "scripts/check_release.py"), *tag]
    checked = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert (checked.returncode, bool(checked.stderr)) == (code, code == 1)


@pytest.mark.parametrize(
    ("names", "unwanted"),
    [
        # A script that only trains must not pay for plots, kernels and the command line.
        ("Classifier, LeakyMLP, LatencyEncoder, TrainConfig, fit, evaluate, load_digits", HEAVY),
        # The command line lists options, codes and networks at once.
        ("encoding, energy, models, training", [*HEAVY, "torch", "numpy"]),
    ],
)
def test_import_is_light(names: str, unwanted: list[str]) -> None:
    code = (
        f"import sys; from spikemnist import {names}; "
        f"print([name for name in {unwanted} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_on_its_api_page(room: str) -> None:
    """Each name is in one table, or is a constant with a line of its own.

    A new code or surrogate works without its line in the documentation.
    """
    page = read(f"docs/api/{room}.md")
    names = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    names += re.findall(r"^\.\. (?:py:|auto)data:: (?:.*\.)?(\w+)$", page, re.MULTILINE)
    codes = {path.partition(".")[2] for path in ENCODERS.values()}
    surrogates = {kind.__name__ for kind in SURROGATES.values()}
    public = {*importlib.import_module(f"spikemnist.{room}").__all__}
    assert sorted(names) == sorted(public - (codes | surrogates).difference(names))
