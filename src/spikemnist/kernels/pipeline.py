"""How Numba compiles kernels and their pieces. Importing this module loads Numba.

By itself, Numba optimises every piece and turns it into machine code, and does the same again in
each kernel that contains it. And while it creates thousands of small objects, Python's garbage
collector reads all others several times.
"""

from __future__ import annotations

import gc
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Compile a kernel, and pieces on the way, without collecting garbage."""

    def compile_extra(self, function: Any) -> Any:
        """Return the compiled function."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(function)
        finally:
            if enabled:
                gc.enable()


class PieceCompiler(Compiler):  # type: ignore[misc]
    """Compile a piece to the LLVM code that kernels take, and no further."""

    def __init__(self, typing: Any, target: Any, _: Any, *rest: Any) -> None:
        super().__init__(typing, target, _Piece(target.codegen(), "piece"), *rest)
        # Numba tells pieces apart by their entry points. A new bound method stands in for each.
        self.state.targetctx.get_executable = lambda library, *_: [library].index


class _Piece(JITCodeLibrary):  # type: ignore[misc]
    def _optimize_final_module(self) -> None:
        """Leave the code as it is: the kernel is optimised as a whole."""

    def _finalize_final_module(self) -> None:
        self._finalized = True
