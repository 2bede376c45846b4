"""Pictures of the gallery: the files that its scripts write."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

SUFFIXES = (".gif", ".png")


def take(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move the pictures that a block has written beside its script, and return how to show them."""
    folder = Path(block_vars["src_file"]).parent
    written = (file for file in folder.iterdir() if file.suffix in SUFFIXES)
    taken = []
    for file in sorted(written, key=lambda file: file.stat().st_mtime_ns):
        place = Path(next(block_vars["image_path_iterator"])).with_suffix(file.suffix)
        shutil.move(file, place)
        taken.append(str(place))
    shown: str = figure_rst(taken, gallery_conf["src_dir"])
    return shown
