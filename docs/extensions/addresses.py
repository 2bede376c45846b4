"""The addresses of repository and site. ``[project.urls]`` of pyproject.toml alone has them.

    [project.urls]
    Repository = "https://github.com/OWNER/NAME"

Without it no page and no notebook shows an address, and the links of the README stay relative.
"""

from __future__ import annotations

import json
import re

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
RELATIVE = "(?!https?://|#)"
"""Pattern of the beginning of a relative link."""

COLAB = "https://colab.research.google.com/github"


def repository(project: str) -> str:
    """Return the address in the text of pyproject.toml, or an empty string."""
    found = re.search(r'^Repository = "(https://github\.com/[\w.-]+/[\w.-]+)"$', project, re.M)
    return found[1] if found else ""


def site(address: str) -> str:
    """Return where GitHub publishes the pages of a repository, or an empty string."""
    if not address:
        return ""
    owner, name = address.removeprefix("https://github.com/").split("/")
    return f"https://{owner.lower()}.github.io/{name}/"


def absolute(text: str, address: str) -> str:
    """Return Markdown with an address, if there is one, before its relative links and pictures.

    Examples
    --------
    >>> absolute("[a](b.md) ![c](d.png)", "https://github.com/o/n")
    '[a](https://github.com/o/n/blob/main/b.md) ![c](https://github.com/o/n/raw/main/d.png)'
    """
    if not address:
        return text
    text = re.sub(rf"(!\[[^]]*\]\(){RELATIVE}", rf"\1{address}/raw/main/", text)
    return re.sub(rf"(\[[^]]*\]\(){RELATIVE}", rf"\1{address}/blob/main/", text)


def with_badge(notebook: str, address: str, path: str) -> str:
    """Return a notebook as text, with a link to Colab below its title if there is an address."""
    if not address:
        return notebook
    content = json.loads(notebook)
    place = f"{COLAB}/{address.removeprefix('https://github.com/')}/blob/main/{path}"
    content["cells"][0]["source"][1:1] = ["\n", f"[![Open in Colab]({BADGE})]({place})\n"]
    return json.dumps(content, ensure_ascii=False, indent=1)
