"""Pictures of the gallery: the files that its scripts write, each with a text in its place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

PICTURE = re.compile(r'^# sphinx_gallery_alt = "(.+)"\n.*\.save(?:fig)?\("(.+?)"', re.MULTILINE)
"""A comment, which no page or notebook shows, and below it the line that writes the picture."""


def take(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move the pictures that a block has written beside its script, and return how to show them."""
    shown = ""
    for alternative, name in PICTURE.findall(block[1]):
        file = Path(block_vars["src_file"]).with_name(name)
        place = Path(next(block_vars["image_path_iterator"])).with_suffix(file.suffix)
        shutil.move(file, place)
        shown += figure_rst([str(place)], gallery_conf["src_dir"], alternative)
    return shown
