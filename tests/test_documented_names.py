"""Names in backticks, in docstrings of all rooms."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.test_docstrings import ELSEWHERE, MARKED, NAMES, PACKAGES, described


def pages() -> set[str]:
    """Return what has a page of its own or stands on one, in each form that names it."""
    found = {*PACKAGES}
    for place, package in PACKAGES.items():
        for name in package.__all__:
            thing = getattr(package, name)
            members = described(thing) if isinstance(thing, type) else ()
            for form in (name, f"{place}.{name}"):
                found |= {form, *(f"{form}.{member}" for member in members)}
    return found


PAGES = pages()


@pytest.mark.parametrize("place", [*PACKAGES, *NAMES])
def test_names_in_backticks_have_a_page(place: str) -> None:
    """Single backticks become links, and double ones are for text."""
    thing = NAMES.get(place, PACKAGES.get(place))
    owner = place.rpartition(".")[0]
    text = MARKED.sub("", inspect.getdoc(thing) or "")
    known = PAGES | described(thing) | (described(NAMES[owner]) if owner in NAMES else set())
    named = [" ".join(name.split()).lstrip("~") for name in re.findall(r"`([^`]+)`", text)]
    unknown = [name for name in named if name not in known]
    assert [name for name in unknown if name.partition(".")[0] not in ELSEWHERE] == []
