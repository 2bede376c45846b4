"""Find the four files of a data set, or report where they were looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from spikemnist.data.download import download_missing, find_file
from spikemnist.data.sources import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spikemnist.data.sources import Source

VARIABLE = "SPIKEMNIST_DATA"


def locate(
    source: Source, root: str | os.PathLike[str] | None, *, download: bool
) -> dict[str, Path]:
    """Return the path of each of the four files, ``.gz`` or raw; download them if absent.

    The first folder that holds all four is used; files from two folders are never mixed.

    Raises
    ------
    FileNotFoundError
        If no folder holds all four and ``download`` is false.
    OSError
        If files cannot be downloaded or stored.
    """
    for folder in _folders(source, root):
        paths = {name: path for name in FILES if (path := find_file(folder, name)) is not None}
        if len(paths) == len(FILES):
            return paths
    home = Path(root).expanduser() if root is not None else cache_folder()
    target = home / source.name / "raw"
    if not download:
        raise FileNotFoundError(_missing(source, root, target))
    return download_missing(source, target)


def cache_folder() -> Path:
    """Return the folder for downloads, the user's cache folder on this system."""
    return user_cache_path("spikemnist", appauthor=False)


def roots(root: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Yield the folders to search: ``root`` if given, else the default folders."""
    if root is not None:
        yield Path(root).expanduser()
        return
    if value := os.environ.get(VARIABLE):
        folder = Path(value).expanduser()
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{VARIABLE} must name a folder; {folder} is a file")
        yield folder
    yield cache_folder()


def _folders(source: Source, root: str | os.PathLike[str] | None) -> Iterator[Path]:
    # The folder named after the data set goes first: files in the root itself may belong to
    # another data set, since all data sets use the same file names.
    for base in roots(root):
        yield base / source.name / "raw"
        yield base


def _missing(source: Source, root: str | os.PathLike[str] | None, target: Path) -> str:
    searched = "; ".join(_what_lacks(folder) for folder in _folders(source, root))
    elsewhere = "" if root is not None else f", or into a folder that root= or {VARIABLE} names"
    return (
        f"{source.title} needs the four files {', '.join(FILES)} (each raw or .gz), but no folder "
        f"has them all. Searched: {searched}. Load with download=True, or get the .gz files from "
        f"{' or '.join(source.mirrors())} and put them into {target}{elsewhere}"
    )


def _what_lacks(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} (no such folder)"
    absent = [name for name in FILES if find_file(folder, name) is None]
    return f"{folder} (lacks {'all four' if len(absent) == len(FILES) else ', '.join(absent)})"
