"""Run the notebook of ``examples/`` from top to bottom and store it with its pictures.

    python scripts/run_notebook.py

It needs the extra ``docs``. The code runs on the CPU in one thread, so that a second run stores the
same. Only printed lines and pictures are stored, and nothing of the machine. If a cell fails or
writes to standard error, the file stays as it was.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from spikemnist._atomic import write_atomically

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "snn_mnist_classifier.ipynb"


def main() -> None:
    # Imported here, because the tests use `digest` without the extra.
    import nbformat
    from nbclient import NotebookClient

    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    about = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    options: Any = {"timeout": 600, "record_timing": False, "coalesce_streams": True}
    with tempfile.TemporaryDirectory() as folder:  # without a photograph of anyone
        NotebookClient(notebook, **options).execute(cwd=folder)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.metadata = {}
        cell.outputs = [clean(output, cell.id) for output in cell.outputs]
    notebook.metadata = {**about, "code_sha256": digest([cell.source for cell in cells])}
    write_atomically(
        NOTEBOOK,
        lambda path: nbformat.write(notebook, path),  # type: ignore[no-untyped-call]
    )
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1e6:.2f} MB")


def digest(sources: list[str]) -> str:
    """Return the SHA-256 of the code cells that made the stored outputs."""
    return hashlib.sha256("\n\n".join(sources).encode()).hexdigest()


def clean(output: Any, cell: str) -> Any:
    if output.output_type == "stream":
        if output.name != "stdout":
            raise SystemExit(f"the cell {cell} writes to standard error: {output.text}")
        return output
    picture = output.data.get("image/png")
    output.data = {"text/plain": output.data["text/plain"]}
    if picture:
        output.data["image/png"] = strip(picture)
    output.metadata = {}
    return output


def strip(picture: str) -> str:
    """Return a PNG, in base64, without the version of matplotlib that each one names."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
