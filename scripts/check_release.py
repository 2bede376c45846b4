"""Check that the tag, the package's version and the changelog name the same release.

    python scripts/check_release.py            the version has its section in the changelog
    python scripts/check_release.py v0.1.0     and the tag names that version

The exit code is 0 if they agree, else 1, with a line on standard error for each disagreement.
"""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Section(NamedTuple):
    """A section of a released version in the changelog: ``## [version] - date``."""

    version: str
    date: str


def read_version(source: str) -> str:
    """Return ``__version__`` from the text of the package's ``__init__.py``.

    The package is not imported, because releases are checked without torch.
    """
    found = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if found is None:
        raise ValueError('src/spikemnist/__init__.py has no line __version__ = "..."')
    return found[1]


def read_sections(changelog: str) -> list[Section]:
    """Return the changelog's released sections in order; an undated section has date ``""``."""
    heading = re.compile(r"^## \[([^\]]+)\](?: - (.*))?$", re.MULTILINE)
    sections = [Section(m[1], (m[2] or "").strip()) for m in heading.finditer(changelog)]
    return [section for section in sections if section.version != "Unreleased"]


def is_date(text: str) -> bool:
    """Return whether ``text`` is a valid date in the form 2026-11-24."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def find_problems(version: str, sections: list[Section], tag: str | None = None) -> list[str]:
    """Return the problems that prevent a release of ``version``; empty if all agree."""
    problems = []
    if tag is not None and tag != f"v{version}":
        problems.append(
            f"the tag is {tag!r}, but __version__ is {version!r}: expected the tag 'v{version}'"
        )
    if not sections:
        problems.append(f"CHANGELOG.md has no release: add '## [{version}] - YYYY-MM-DD'")
    elif sections[0].version != version:
        problems.append(
            f"the newest release in CHANGELOG.md is {sections[0].version!r}, but __version__ is "
            f"{version!r}: expected '## [{version}] - YYYY-MM-DD' above it"
        )
    elif not is_date(sections[0].date):
        problems.append(
            f"'## [{version}]' in CHANGELOG.md is dated {sections[0].date!r}: expected a day "
            "such as 2026-11-24"
        )
    return problems


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print(f"expected at most one tag, got {arguments}", file=sys.stderr)
        return 2
    version = read_version((ROOT / "src/spikemnist/__init__.py").read_text(encoding="utf-8"))
    sections = read_sections((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    problems = find_problems(version, sections, arguments[0] if arguments else None)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{version}: version, changelog{' and tag' if arguments else ''} agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
