"""What a release promises: one version everywhere, and the README's commands."""

from __future__ import annotations

import json
import re
import runpy
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import spikemnist

ROOT = Path(__file__).resolve().parent.parent
VERSION = spikemnist.__version__
COMMANDS = [
    "python -m pip install . && spikemnist train",
    'python -m pip install -e ".[test]" && pytest',
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_readme() -> None:
    """Those that `.ci/run` takes from it: each is a block of one line."""
    lines = [block.rstrip("\n") for block in blocks("bash") if block.count("\n") == 1]
    assert lines == COMMANDS


def test_the_program_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the accuracy below it; another processor may round to another network."""
    monkeypatch.chdir(tmp_path)
    (program,), (shown,) = blocks("python"), blocks("text")
    exec(compile(program, "README.md", "exec", dont_inherit=True), {})
    actual, expected = (float(text.rstrip("%\n")) for text in (capsys.readouterr().out, shown))
    assert abs(actual - expected) < 1.5
    pictures = {path.name for path in (ROOT / "docs/_static/example").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == pictures
    assert all(f"example/{name}" in read("README.md") for name in pictures)


def test_links_of_the_readme() -> None:
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", read("README.md"))
    assert len(links) > 10
    assert [path for path in links if not (ROOT / path).exists()] == []


ADDRESSES = runpy.run_path(str(ROOT / "docs/extensions/addresses.py"))
ELSEWHERE = 'license = "MIT"\n\n[project.urls]\nRepository = "https://github.com/somebody/spikes"\n'


@pytest.mark.parametrize(
    ("project", "badge"),
    [
        ('[project]\nname = "spikemnist"\n', None),
        (ELSEWHERE, "https://colab.research.google.com/github/somebody/spikes/blob/main/a.ipynb"),
    ],
)
def test_link_of_the_notebook_to_colab(project: str, badge: str | None) -> None:
    notebook = json.dumps({"cells": [{"source": ["# Title\n", "\n", "A text."]}]})
    shown = ADDRESSES["with_badge"](notebook, ADDRESSES["repository"](project), "a.ipynb")
    (cell,) = json.loads(shown)["cells"]
    links = re.findall(r"\]\((https://colab[^)]+/blob/[^)]+)\)", "".join(cell["source"]))
    assert links == [badge] * (badge is not None)
    assert cell["source"][0] == "# Title\n"


@pytest.mark.parametrize(("project", "relative"), [(ELSEWHERE, False), ("", True)])
def test_links_in_the_readme_of_a_wheel(project: str, relative: bool, tmp_path: Path) -> None:
    address, wheel = ADDRESSES["repository"](project), tmp_path / "spikes.whl"
    text = ADDRESSES["absolute"](read("README.md"), address)
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("spikes-1.0.dist-info/METADATA", text)
    links = runpy.run_path(str(ROOT / "scripts/check_release.py"))["relative_links"](wheel)
    assert ("docs/_static/example/raster.png" in links) == ("CHANGELOG.md" in links) == relative
    assert bool(links) == relative
    assert (f"{address}/raw/main/docs/_static/example/raster.png" in text) != relative


def test_address_of_the_site() -> None:
    assert ADDRESSES["site"]("") == ""
    address = ADDRESSES["site"](ADDRESSES["repository"](ELSEWHERE))
    assert address == "https://somebody.github.io/spikes/"


def test_addresses_of_the_repository() -> None:
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


def test_range_of_tested_versions() -> None:
    """In pyproject.toml, the docs, and the workflow with the oldest."""
    ranges, page = requirements(), read("docs/installation.md")
    workflow, conda = read(".github/workflows/tests.yml"), read("environment.yml")
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) >= 10
    for name, oldest, newest in rows:
        (floor,) = re.findall(r">=([\d.]+)", ranges[name])
        assert f"{oldest}.".startswith(f"{floor}."), name
        assert newest in SpecifierSet(ranges[name]), name
        (pinned,) = re.findall(rf'"{name}==([\d.]+?)(?:\.\*)?"', workflow)
        assert f"{pinned}.".startswith(f"{floor}."), name
        package = {"torch": "pytorch", "matplotlib": "matplotlib-base"}.get(name, name)
        assert f"{package}{ranges[name]}" in conda.replace(" ", ""), name


@pytest.mark.parametrize(
    ("system", "processor", "python", "has_wheel"),
    [
        ("linux", "x86_64", "3.10", True),
        ("linux", "aarch64", "3.14", True),
        ("darwin", "arm64", "3.12", True),
        ("win32", "AMD64", "3.12", True),
        ("linux", "x86_64", "3.15", False),
        ("linux", "armv7l", "3.12", False),
        ("linux", "riscv64", "3.12", False),
        ("darwin", "x86_64", "3.12", False),
        ("win32", "ARM64", "3.12", False),
    ],
)
def test_machines_with_numba(system: str, processor: str, python: str, has_wheel: bool) -> None:
    """Where there is no wheel, pip would build a compiler from its source, and fail."""
    (text,) = re.findall(r'^  "(numba[^"]+)"', read("pyproject.toml"), re.MULTILINE)
    marker = Requirement(text).marker
    machine = {"sys_platform": system, "platform_machine": processor, "python_version": python}
    assert marker is not None
    assert marker.evaluate(machine) == has_wheel


def test_pins_of_the_course() -> None:
    lines = read("examples/course/requirements.txt").splitlines()
    pins = dict(line.split("==") for line in lines)
    assert not [line for line in lines if re.search(r"[@+]|spikemnist", line)]
    for name, supported in requirements().items():
        assert pins[name] in SpecifierSet(supported), name
    shown = re.findall(r"\b(torch\w*)==([\d.]+)", read("docs/teachers.md"))
    assert {*shown} == {(name, pins[name]) for name in ("torch", "torchvision")}


@pytest.mark.parametrize(
    ("released", "citation", "tag", "problem"),
    [
        ("", "", None, None),
        ("1.2.0] - 2027-01-02", "date-released: 2027-01-02\n", None, None),
        ("1.2.0] - 2027-01-02", "date-released: 2027-01-02\n", "v1.2.0", None),
        ("1.2.0] - 2027-01-02", "date-released: 2027-01-02\n", "v1.3.0", "the version differs"),
        ("1.1.0] - 2027-01-02", "date-released: 2027-01-02\n", None, "the version differs"),
        ("1.2.0] - 2027-01-02", "date-released: 2027-01-03\n", None, "the day differs"),
        ("", "date-released: 2027-01-02\n", None, "the day differs"),
        ("", "", "v1.2.0", "a release needs its day"),
        ("1.2.0]", "", "v1.2.0", "a release needs its day"),
    ],
)
def test_disagreements_of_a_release(
    released: str, citation: str, tag: str | None, problem: str | None
) -> None:
    sections = ["Unreleased]"] + [released, "1.0.0] - 2026-12-31"] * bool(released)
    texts = {
        "src/spikemnist/__init__.py": '__version__ = "1.2.0"\n',
        "CHANGELOG.md": "".join(f"## [{section}\n\n" for section in sections),
        "CITATION.cff": f"version: 1.2.0\n{citation}license: MIT\n",
    }
    problems = runpy.run_path(str(ROOT / "scripts/check_release.py"))["disagreements"](texts, tag)
    assert [text.partition(":")[0] for text in problems] == [problem] * (problem is not None)
