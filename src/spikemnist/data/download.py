"""Download a data set's files from torchvision's mirrors and check them before storing."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import tempfile
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from spikemnist._atomic import write_atomically
from spikemnist._progress import progress_bar
from spikemnist.data.idx import unpack
from spikemnist.data.sources import FILES, md5_of

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.data.sources import Source

_log = logging.getLogger(__name__)

_TIMEOUT = 30.0  # seconds without a byte


def find_file(folder: Path, name: str) -> Path | None:
    """Return the path of ``name`` or ``name.gz`` in ``folder``, the raw file first."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def download_missing(source: Source, folder: Path) -> dict[str, Path]:
    """Download the files that ``folder`` lacks; return the paths of all four.

    A file is stored complete and checked, or not at all.

    Raises
    ------
    ConnectionError
        If no mirror serves a file with the right content.
    OSError
        If ``folder`` cannot be written.
    """
    paths = {}
    for name in FILES:
        path = find_file(folder, name)
        if path is None:
            path = _keep(source, name, folder)
        paths[name] = path
    return paths


def _keep(source: Source, name: str, folder: Path) -> Path:
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Test write access before the download, which may take minutes.
        with tempfile.TemporaryFile(dir=folder):
            pass
        data = _fetch(source, name, folder)
        return write_atomically(folder / f"{name}.gz", lambda path: path.write_bytes(data))
    except ConnectionError:
        for path in made:  # empty folders would look like data
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"{source.title} cannot be stored in {folder} ({error}); pass a writable folder as "
            "root=, or set SPIKEMNIST_DATA to a folder with the files",
        ) from error


def _fetch(source: Source, name: str, folder: Path) -> bytes:
    """Return the ``.gz`` file from the first mirror that serves the right content."""
    failures = []
    for mirror in source.mirrors():
        url = f"{mirror.rstrip('/')}/{name}.gz"
        _log.info("downloading %s", url)
        try:
            data = _get(url)
            _check(source, name, data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
        else:
            return data
    raise ConnectionError(
        f"{source.title} could not be downloaded ({'; '.join(failures)}). Without a network, get "
        f"the four files {', '.join(f'{file}.gz' for file in FILES)} from "
        f"{' or '.join(source.mirrors())} on another machine and put them into {folder}, or into "
        "a folder that root= or SPIKEMNIST_DATA names"
    )


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "spikemnist"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            return _read(response, url.rsplit("/", 1)[-1])
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _read(response: http.client.HTTPResponse, name: str) -> bytes:
    """Return the body of a response; show a progress bar after two seconds."""
    size = response.headers.get("Content-Length", "")
    data = bytearray()
    with progress_bar(
        progress=True,
        total=int(size) if size.isdecimal() else None,
        desc=f"downloading {name}",
        unit="B",
        unit_scale=True,
        delay=2.0,
    ) as bar:
        while block := response.read(1 << 16):
            data += block
            bar.update(len(block))
    if size.isdecimal() and len(data) < int(size):
        raise http.client.IncompleteRead(bytes(data), int(size) - len(data))
    return bytes(data)


def _check(source: Source, name: str, data: bytes) -> None:
    """Raise a `ValueError` for wrong content: by the unpacked SHA-256 if known, else the MD5."""
    if known := source.sha256.get(name):
        kind, found = "unpacked SHA-256", hashlib.sha256(unpack(data, name="it")).hexdigest()
    else:
        known = source.md5()[name]
        kind, found = "MD5", md5_of(data)
    if found != known:
        raise ValueError(f"wrong content, {len(data)} bytes with {kind} {found}, expected {known}")
