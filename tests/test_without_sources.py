"""The package without its source files, as in a frozen program."""

from __future__ import annotations

import ast
import compileall
import importlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import spikemnist

FASTEST = spikemnist.ops.select_backend("auto")

PACKAGE = Path(spikemnist.__file__).parent

SCRIPT = """
import spikemnist
from spikemnist import *
network = LeakyMLP(hidden=8, threshold=0.2, seed=0, backend="{}")
classifier = Classifier(network, "direct")
train, test = load_digits()
fit(classifier, train[:64], TrainConfig(epochs=1), progress=False)
print(spikemnist.__file__, classifier(test.images[:4]).backend, len(classifier.predict(test[:4])))
"""


@pytest.mark.parametrize("package", sorted(p.parent for p in PACKAGE.glob("**/__init__.py")))
def test_names_are_those_that_type_checkers_see(package: Path) -> None:
    """A package lists its names twice: as imports, and for their first use."""
    imports, modules = {}, {}
    name = ".".join(package.relative_to(PACKAGE.parent).parts)
    for block in ast.parse((package / "__init__.py").read_text("utf-8")).body:
        if isinstance(block, ast.If):
            for one in block.body:
                assert isinstance(one, ast.ImportFrom)
                imports |= {alias.name: one.module for alias in one.names}
    for where, names in getattr(importlib.import_module(name), "_MODULES", {}).items():
        place = name if where == "." else f"{name}{where}" if where[0] == "." else where
        modules |= dict.fromkeys(names.split(), place)
    assert modules == imports


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the compiled files of the package, and none of its sources."""
    folder = tmp_path_factory.mktemp("compiled")
    shutil.copytree(PACKAGE, folder / "spikemnist", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(folder, quiet=1, legacy=True, stripdir=str(folder))
    for file in folder.glob("**/*.py"):
        file.unlink()
    return folder


@pytest.mark.parametrize(("kind", "backend"), [("folder", FASTEST), ("zip", "reference")])
def test_train_and_predict(compiled: Path, kind: str, backend: str, tmp_path: Path) -> None:
    place = compiled
    if kind == "zip":
        place = tmp_path / "package.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for file in compiled.glob("**/*"):
                archive.write(file, file.relative_to(compiled))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(backend)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *sys.path])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file = place / "spikemnist" / "__init__.pyc"
    assert done.stdout.split() == [str(file), backend, "4"]
    without_cache = "cannot be cached (their source files are not there)" in done.stderr
    assert without_cache == (backend == "event_driven")
