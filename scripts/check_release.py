"""Check that the tag, the package, the changelog and the citation name the same release.

    python scripts/check_release.py            version and day agree in all files
    python scripts/check_release.py v0.1.0     and the tag names that version

The exit code is 0 if they agree, else 1, with the disagreements on standard error. The package is
not imported, because releases are checked without torch.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = {
    "src/spikemnist/__init__.py": r'^__version__ = "(?P<version>.+)"$',
    "CHANGELOG.md": r"^## \[(?P<version>.+?)\] - (?P<day>\d{4}-\d\d-\d\d)$",
    "CITATION.cff": r"^version: (?P<version>.+)\ndate-released: (?P<day>.+)$",
}
"""Pattern of the newest release in each file."""


def disagreements(texts: dict[str, str], tag: str | None = None) -> list[str]:
    """Return a line for each kind of fact on which the files and the tag disagree."""
    facts: dict[str, dict[str, str]] = {"version": {}, "day": {}}
    for place, pattern in PLACES.items():
        match = re.search(pattern, texts[place], re.MULTILINE)
        if match is None:
            return [f"{place} names no release: expected a line {pattern}"]
        for name, value in match.groupdict().items():
            facts[name][place] = value
    if tag is not None:
        facts["version"]["the tag"] = tag.removeprefix("v")
    return [
        f"the {name} differs: {values}"
        for name, values in facts.items()
        if len({*values.values()}) > 1
    ]


def main(arguments: list[str]) -> int:
    """Compare the files of this checkout, and the tag if one is given."""
    texts = {place: (ROOT / place).read_text(encoding="utf-8") for place in PLACES}
    problems = disagreements(texts, *arguments)
    print(*problems or ["all agree"], sep="\n", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
