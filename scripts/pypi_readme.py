"""Give the README in the metadata the address of the repository, before its links and pictures.

A hook of hatchling, which pyproject.toml names. Without an address they stay relative.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReadmeOfPyPI(MetadataHookInterface):  # type: ignore[misc]  # its types are not installed
    """Sets the field ``readme`` of the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README, with the address that ``[project.urls]`` has."""
        root = Path(self.root)
        addresses = runpy.run_path(str(root / "docs" / "extensions" / "addresses.py"))
        address = addresses["repository"]((root / "pyproject.toml").read_text(encoding="utf-8"))
        text = addresses["absolute"]((root / "README.md").read_text(encoding="utf-8"), address)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
