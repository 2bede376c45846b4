"""What a release promises: one version everywhere, the README's commands, a light import."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import spikemnist

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
CHECK_RELEASE = ROOT / "scripts" / "check_release.py"
COMMANDS = [
    "python -m pip install . && spikemnist train",
    'python -m pip install -e ".[test]" && pytest',
]
HEAVY = ["matplotlib", "numba", "torchvision", "triton", "tyro"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def check_release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_release", CHECK_RELEASE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_check_release(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECK_RELEASE), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("spikemnist") == spikemnist.__version__


def test_version_is_the_changelogs_newest(check_release: ModuleType) -> None:
    newest = check_release.read_sections(read("CHANGELOG.md"))[0]
    assert newest.version == spikemnist.__version__
    assert check_release.is_date(newest.date)


def test_citation_names_the_newest_release(check_release: ModuleType) -> None:
    newest = check_release.read_sections(read("CHANGELOG.md"))[0]
    citation = read("CITATION.cff")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [newest.version]
    assert re.findall(r"^date-released: (.+)$", citation, re.MULTILINE) == [newest.date]


def test_readme_has_the_two_commands_each_in_a_block_of_its_own() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)
    assert [block.rstrip("\n") for block in blocks if "pip install" in block] == COMMANDS


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = read("README.md")
    assert text.count("\n") <= 120
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", text)
    files = re.findall(r"`((?:docs|examples|src)/[^`]*|[A-Z]+\.md)`", text)
    assert len(links) > 0
    assert len(files) > 5
    for path in (*links, *files):
        assert (ROOT / path).exists(), path


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
        if name != "tyro":  # `pip install -e .` brings it
            package = {"torch": "pytorch", "matplotlib": "matplotlib-base"}.get(name, name)
            assert f"{package}{ranges[name]}" in conda.replace(" ", ""), name


def test_check_release_accepts_this_version() -> None:
    checked = run_check_release(f"v{spikemnist.__version__}")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"{spikemnist.__version__}: version, changelog and tag agree\n"
    assert run_check_release().returncode == 0


def test_check_release_refuses_another_tag() -> None:
    checked = run_check_release("v99.0.0")
    assert (checked.returncode, checked.stdout) == (1, "")
    version = spikemnist.__version__
    assert checked.stderr == (
        f"the tag is 'v99.0.0', but __version__ is '{version}': expected the tag 'v{version}'\n"
    )


def test_check_release_takes_one_tag() -> None:
    assert run_check_release("v1.0.0", "v2.0.0").returncode == 2


@pytest.mark.parametrize(
    ("version", "changelog", "tag", "problem"),
    [
        ("1.2.0", "## [1.2.0] - 2026-01-31\n", "1.2.0", "the tag is '1.2.0', but"),
        ("1.2.0", "## [1.2.0] - 2026-01-31\n", "v1.2", "expected the tag 'v1.2.0'"),
        ("1.2.0", "## [1.1.0] - 2026-01-31\n", "v1.2.0", "CHANGELOG.md is '1.1.0', but"),
        ("1.2.0", "## [Unreleased]\n\n- A thing.\n", "v1.2.0", "CHANGELOG.md has no release"),
        ("1.2.0", "## [1.2.0]\n", "v1.2.0", "is dated ''"),
        ("1.2.0", "## [1.2.0] - soon\n", None, "is dated 'soon'"),
        ("1.2.0", "## [1.2.0] - 2026-02-30\n", "v1.2.0", "is dated '2026-02-30'"),
        ("1.2.0", "## [1.2.0] - 20260131\n", "v1.2.0", "is dated '20260131'"),
    ],
)
def test_each_disagreement_is_named(
    check_release: ModuleType, version: str, changelog: str, tag: str | None, problem: str
) -> None:
    sections = check_release.read_sections(changelog)
    (found,) = check_release.find_problems(version, sections, tag)
    assert problem in found


def test_older_and_unreleased_sections_do_not_disturb(check_release: ModuleType) -> None:
    sections = check_release.read_sections(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n### Added\n\n"
        "- A thing.\n\n## [1.1.0] - 2025-12-24\n"
    )
    assert [section.version for section in sections] == ["1.2.0", "1.1.0"]
    assert check_release.find_problems("1.2.0", sections, "v1.2.0") == []


def test_a_missing_version_is_named(check_release: ModuleType) -> None:
    with pytest.raises(ValueError, match="no line __version__"):
        check_release.read_version("version = '1.2.0'\n")


def test_import_is_light() -> None:
    """A script that only trains must not pay for plots, kernels and the command line."""
    code = f"import sys, spikemnist; print([m for m in {HEAVY} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize("room", spikemnist._ROOMS)
def test_every_public_name_is_on_its_api_page(room: str) -> None:
    """Each name is in one table, or is a constant with a line of its own."""
    page = read(f"docs/api/{room}.md")
    names = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    names += re.findall(r"^\.\. (?:py:|auto)data:: (?:.*\.)?(\w+)$", page, re.MULTILINE)
    assert sorted(names) == sorted(importlib.import_module(f"spikemnist.{room}").__all__)
