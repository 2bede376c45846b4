"""Check that the tag, the package, the changelog and the citation name the same release.

    python scripts/check_release.py            the version is the same in all files
    python scripts/check_release.py v0.1.0     and it is released, with the same day in all files
    python scripts/check_release.py v0.1.0 dist/*.whl    and PyPI can show its README

The newest version in the changelog is the first with a number, below ``[Unreleased]``. Before the
first release there is none, and the citation has no day. The exit code is 0 if all agree, else 1,
with the disagreements on standard error. The package is not imported, because releases are checked
without torch.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = {
    "src/spikemnist/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## \[(\d.*?)\]",
}
"""Pattern of the newest version in each file."""
DAYS = {
    "CITATION.cff": r"^date-released: (.+)$",
    "CHANGELOG.md": r"^## \[\d.*?\](?: - (\d{4}-\d\d-\d\d))?$",
}
"""Pattern of the day of the newest version, which has none before the first release."""


def disagreements(texts: dict[str, str], tag: str | None = None) -> list[str]:
    """Return a line for each kind of fact on which the files and the tag disagree."""
    versions = {place: _first(pattern, texts[place]) for place, pattern in VERSIONS.items()}
    days = {place: _first(pattern, texts[place]) for place, pattern in DAYS.items()}
    if tag is not None:
        versions["the tag"] = tag.removeprefix("v")
    elif not versions["CHANGELOG.md"]:
        del versions["CHANGELOG.md"]
    if tag is not None and not all(days.values()):
        return [f"a release needs its day: {days}"]
    facts = {"version": versions, "day": days}
    return [
        f"the {name} differs: {values}"
        for name, values in facts.items()
        if len({*values.values()}) > 1
    ]


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return (match and match.group(1)) or ""


def relative_links(wheel: Path) -> list[str]:
    """Return the links and pictures of the README in a wheel that lead to no address."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return re.findall(r"\]\((?!https?://|#)([^)]+)\)", files.read(name).decode())


def main(arguments: list[str]) -> int:
    """Compare the files of this checkout, and the tag and the wheel if they are given."""
    texts = {place: (ROOT / place).read_text(encoding="utf-8") for place in VERSIONS}
    problems = disagreements(texts, *arguments[:1])
    links = [link for wheel in arguments[1:] for link in relative_links(Path(wheel))]
    if links:
        problems.append(
            f"{len(links)} relative links in the README of the wheel, such as {links[0]}: set "
            "Repository below [project.urls] in pyproject.toml, and build it again"
        )
    print(*problems or ["all agree"], sep="\n", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
