"""Who may import whom. Data flows one way, and so do the imports.

The imports are read from the source, those inside functions included. An import under
``if TYPE_CHECKING:`` is free, as it does not happen at runtime, except in a room whose names are
`lazy`: there it happens on first use. The package's own file leads to every room in this way, so
that after ``import spikemnist`` each of its names that a file takes counts as an import.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parent.parent / "src" / "spikemnist"

# What each room may import of ours, as dotted paths below `spikemnist`; a path admits all below it.
# `__init__` is the package's own file.
ALLOWED: dict[str, set[str]] = {
    "__init__": {"_lazy"},
    "_lazy": set(),
    "_atomic": set(),
    "_interrupt": set(),
    "_progress": {"kernels"},
    "_checkpoints": set(),
    "_seeds": set(),
    "_signatures": set(),
    "kernels": {"_atomic"},
    "_tensor_files": {"_atomic", "_tensors"},
    "_tables": set(),
    "_tensors": set(),
    "_names": set(),
    "ops": {"kernels.compiler", "kernels.splitmix", "_names", "_tensors"},
    "engine": {"ops", "kernels", "_tensors"},
    "gpu": {"ops"},
    "encoding": {"kernels", "_lazy", "_names", "_tensors"},
    "data": {"_atomic", "_progress", "_signatures", "_tensors"},
    "models": {
        "ops",
        "engine",
        "gpu",
        "_lazy",
        "_names",
        "_seeds",
        "_tables",
        "_tensor_files",
        "_tensors",
        "data.EventBatch",
        "data.EventDataset",
        "data.ImageDataset",
        "encoding.Encoder",
        "encoding.available_encoders",
        "encoding.get_encoder",
        "encoding.registry.describe_encoder",
    },
    "training": {
        "encoding",
        "models",
        "plasticity",
        "data",
        "ops",
        "_atomic",
        "_interrupt",
        "_lazy",
        "_names",
        "_progress",
        "_checkpoints",
        "_load.MODEL",
        "_seeds",
        "_signatures",
        "_tables",
        "_tensor_files",
        "_tensors",
    },
    "plasticity": {
        "kernels",
        "encoding",
        "data.ImageDataset",
        "_interrupt",
        "_names",
        "_progress",
        "_checkpoints",
        "_tensor_files",
    },
    "energy": {"models", "training", "_interrupt", "_lazy", "_tables"},
    "_load": {"models", "plasticity", "_tensor_files"},
    "export": {"models", "encoding", "data", "_atomic", "_tensors"},
    "viz": {"models.readout", "models.record"},
    "cli": {
        "data",
        "encoding",
        "ops",
        "models",
        "training",
        "energy",
        "plasticity",
        "export",
        "viz",
        "kernels.compiler",
        "kernels.splitmix",
        "_atomic",
        "_interrupt",
        "_load",
        "_names",
        "_progress",
        "_tables",
    },
    # `python -m spikemnist`: the command line by another name.
    "__main__": {"cli"},
}
# The version is data, not code: files and reports carry it.
EVERYWHERE = {"__version__"}
# Rooms that must stay light: what they may import beside Python's own and what is ours.
OUTSIDE: dict[str, set[str]] = {
    "_atomic": set(),
    "_tensor_files": {"torch", "safetensors"},
    "_tensors": {"torch", "numpy"},
    "ops": {"torch", "numpy", "snntorch"},
    "engine": {"torch", "numpy", "numba", "llvmlite"},
    "kernels": {"torch", "numpy", "numba", "llvmlite", "platformdirs"},
    "encoding": {"torch", "numpy", "numba"},
}


class Arrow(NamedTuple):
    """One import: ``source`` is a room of ours, ``target`` the dotted path that it imports."""

    source: str
    target: str
    place: str
    runtime: bool


def read_arrows(root: Path) -> list[Arrow]:
    """Return every import in the package at ``root``, in the order of the files."""
    arrows = []
    names = first_names(root)
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root)
        text = file.read_text(encoding="utf-8")
        is_lazy = "lazy(__name__)" in text and path.name != path.as_posix()  # a room's own file
        found = [
            (target, node.lineno, runtime or is_lazy)
            for node, runtime in imports(ast.parse(text))
            for target in targets(node, (root.name, *path.parent.parts))
            if target != root.name  # it imports nothing by itself
        ]
        found += [(names.get(name, name), line, True) for name, line in taken(root.name, text)]
        for target, line, runtime in found:
            place = f"{path.as_posix()}:{line}"
            arrows.append(Arrow(path.with_suffix("").parts[0], target, place, runtime))
    return arrows


def first_names(root: Path) -> dict[str, str]:
    """Return the dotted path of each name that the package itself has, such as that of ``fit``."""
    file = root / "__init__.py"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    paths = [path for node, _ in imports(ast.parse(text)) for path in targets(node, (root.name,))]
    return {f"{root.name}.{path.rpartition('.')[2]}": path for path in paths}


def taken(package: str, text: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted path of each name that is taken from the package, and the line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == package:
            yield f"{package}.{node.attr}", node.lineno


def imports(
    node: ast.AST, runtime: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the import statements below ``node``, and whether they run."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, runtime
    elif isinstance(node, ast.If) and names_type_checking(node.test):
        for statement in node.body:
            yield from imports(statement, runtime=False)
        for statement in node.orelse:
            yield from imports(statement, runtime)
    else:
        for child in ast.iter_child_nodes(node):
            yield from imports(child, runtime)


def names_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def targets(node: ast.Import | ast.ImportFrom, package: tuple[str, ...]) -> list[str]:
    """Return the dotted paths that an import in ``package`` names, relative ones made absolute."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    parents = package[: len(package) - node.level + 1] if node.level else ()
    module = ".".join([*parents, *([node.module] if node.module else [])])
    return [f"{module}.{alias.name}" for alias in node.names]


def forbidden(arrows: list[Arrow], package: str = "spikemnist") -> list[str]:
    """Return a line for each import that happens at runtime and may not."""
    return [
        f"{arrow.place}: {arrow.source} may not import {arrow.target}"
        for arrow in arrows
        if arrow.runtime and not is_allowed(arrow, package)
    ]


def is_allowed(arrow: Arrow, package: str) -> bool:
    first, _, rest = arrow.target.partition(".")
    if first == package:
        rules = {arrow.source, *ALLOWED.get(arrow.source, set()), *EVERYWHERE}
        return any(rest == rule or rest.startswith(f"{rule}.") for rule in rules)
    outside = OUTSIDE.get(arrow.source)
    return outside is None or first in outside or first in sys.stdlib_module_names


def circles(root: Path) -> list[list[str]]:
    """Return the files of each circle of imports, those for the type checker included.

    The package's own file and its version are left out: the one imports rooms on request, the other
    is data.
    """
    files = {module_name(root, file): file for file in root.rglob("*.py")}
    arrows = {
        name: {
            module
            for node, _ in imports(ast.parse(file.read_text(encoding="utf-8")))
            for target in targets(node, (root.name, *file.relative_to(root).parent.parts))
            for module in (target if target in files else target.rpartition(".")[0],)
            if module in files and module != name and target.rpartition(".")[2] not in EVERYWHERE
        }
        for name, file in files.items()
        if name != root.name
    }
    return [sorted(group) for group in strongly_connected(arrows) if len(group) > 1]


def module_name(root: Path, file: Path) -> str:
    parts = file.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def strongly_connected(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of names that reach one another."""

    def reachable(name: str) -> set[str]:
        names: set[str] = set()
        waiting = [name]
        while waiting:
            for following in arrows.get(waiting.pop(), set()) - names:
                names.add(following)
                waiting.append(following)
        return names

    reach = {name: reachable(name) for name in arrows}
    groups: list[set[str]] = []
    for name in arrows:
        group = {name, *(other for other in reach[name] if name in reach.get(other, set()))}
        if group not in groups:
            groups.append(group)
    return groups


def plant(root: Path, files: dict[str, str]) -> list[Arrow]:
    """Write a small package at ``root`` and read its imports."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return read_arrows(root)


def test_no_arrow_runs_backwards() -> None:
    assert forbidden(read_arrows(SOURCE)) == []


def test_no_circle_between_files() -> None:
    assert circles(SOURCE) == []


def test_a_circle_counts_wherever_its_imports_are(tmp_path: Path) -> None:
    plant(
        tmp_path / "spikemnist",
        {
            "__init__.py": "from spikemnist import ops\n__version__ = '1'\n",
            "ops/a.py": "def f():\n    from spikemnist.ops import b\n",
            "ops/b.py": "import typing\nif typing.TYPE_CHECKING:\n    from .c import C\n",
            "ops/c.py": "from spikemnist.ops.a import f\nfrom spikemnist import __version__\n",
            "ops/d.py": "from spikemnist.ops.c import C\n",
        },
    )
    names = ["spikemnist.ops.a", "spikemnist.ops.b", "spikemnist.ops.c"]
    assert circles(tmp_path / "spikemnist") == [names]


def test_every_room_has_its_rule() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__pycache__", "py"} <= set(ALLOWED)


def test_the_arrows_of_the_design_are_seen() -> None:
    """The reader is not blind: the package does import across its rooms."""
    rooms = {
        (arrow.source, arrow.target.split(".")[1])
        for arrow in read_arrows(SOURCE)
        if arrow.runtime and arrow.target.startswith("spikemnist.")
    }
    assert {("models", "ops"), ("training", "models"), ("viz", "models")} <= rooms


@pytest.mark.parametrize(
    ("file", "text", "target"),
    [
        ("ops/reference.py", "from spikemnist.models import LeakyMLP\n", "models.LeakyMLP"),
        ("ops/reference.py", "import spikemnist.encoding\n", "encoding"),
        ("data/idx.py", "from spikemnist import encoding\n", "encoding"),
        ("encoding/rate.py", "from ..data import load_digits\n", "data.load_digits"),
        ("encoding/rate.py", "from .. import data\n", "data"),
        ("models/mlp.py", "def f():\n    from spikemnist.training import fit\n", "training.fit"),
        ("models/mlp.py", "try:\n    import spikemnist.cli\nexcept ImportError: ...\n", "cli"),
        ("training/fit.py", "from spikemnist.viz import raster\n", "viz.raster"),
        (
            "training/fit.py",
            "from spikemnist.export import to_c\n",
            "export.to_c",
        ),
        ("viz/raster.py", "from spikemnist.models import LeakyMLP\n", "models.LeakyMLP"),
        ("viz/raster.py", "from spikemnist.training import History\n", "training.History"),
        ("__init__.py", "from spikemnist.data import load_digits\n", "data.load_digits"),
        ("__init__.py", "from .viz.raster import raster\n", "viz.raster.raster"),
        ("__main__.py", "from spikemnist.training import fit\n", "training.fit"),
        ("_atomic.py", "from spikemnist.data import load_digits\n", "data.load_digits"),
        ("_newroom.py", "from spikemnist.data import load_digits\n", "data.load_digits"),
        ("ops/reference.py", "import spikemnist\nx = spikemnist.models.LeakyMLP\n", "models"),
        ("viz/raster.py", "import spikemnist\nx = spikemnist.fit()\n", "training.fit"),
        (
            "models/__init__.py",
            "if TYPE_CHECKING:\n    from spikemnist.viz import raster\n"
            "__getattr__, __dir__, __all__ = lazy(__name__)\n",
            "viz.raster",
        ),
    ],
)
def test_a_backward_arrow_is_caught(tmp_path: Path, file: str, text: str, target: str) -> None:
    own = "if TYPE_CHECKING:\n    from spikemnist.training import fit as fit\nlazy(__name__)\n"
    arrows = plant(tmp_path / "spikemnist", {"__init__.py": own, file: text})
    (line,) = forbidden(arrows)
    assert line.startswith(f"{file}:")
    assert line.endswith(f"may not import spikemnist.{target}")


def test_foreign_imports_of_ops_are_caught(tmp_path: Path) -> None:
    text = "import math\nimport torch.nn\nfrom numpy import ndarray\nimport matplotlib.pyplot\n"
    arrows = plant(tmp_path / "spikemnist", {"ops/reference.py": text})
    assert forbidden(arrows) == ["ops/reference.py:4: ops may not import matplotlib.pyplot"]


def test_a_backward_arrow_for_the_type_checker_is_free(tmp_path: Path) -> None:
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from spikemnist.models import Record\n"
        "else:\n"
        "    import spikemnist.viz\n"
    )
    arrows = plant(tmp_path / "spikemnist", {"ops/reference.py": text})
    assert [a.runtime for a in arrows if a.target.startswith("spikemnist")] == [False, True]
    assert forbidden(arrows) == ["ops/reference.py:5: ops may not import spikemnist.viz"]


def test_forward_arrows_pass(tmp_path: Path) -> None:
    arrows = plant(
        tmp_path / "spikemnist",
        {
            "models/mlp.py": "from spikemnist import __version__\nfrom spikemnist import ops\n",
            "models/record.py": "from .mlp import LeakyMLP\n",
            "training/fit.py": "from spikemnist.models import Classifier\nfrom ..data import idx\n",
            "viz/raster.py": "from spikemnist.models.record import Record\n",
            "cli.py": "import spikemnist\nimport spikemnist.viz\nspikemnist.training.fit()\n",
        },
    )
    assert len(arrows) == 8
    assert forbidden(arrows) == []
