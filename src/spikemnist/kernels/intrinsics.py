"""Give Python functions their own LLVM code in kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin
from numba.np.arrayobj import make_array

Code = Callable[[Any, Any, Any, Any], Any]


def lowered(
    function: Callable[..., Any],
    signature: Callable[..., Any] = types.void,
) -> Callable[[Code], Code]:
    """Give a function its own LLVM code in kernels; elsewhere it runs as plain Python.

    Parameters
    ----------
    function : callable
        Python function with the same arguments as the code.
    signature : callable, default types.void
        Function from the types of the arguments to the signature.

    Returns
    -------
    callable
        Decorator of ``code(context, builder, kinds, values)``, which emits instructions into the
        caller for arguments of these types, and returns the value of the result, or None for void.
    """

    class Template(AbstractTemplate):  # type: ignore[misc]
        key = function

        def generic(self, kinds: Any, _: Any) -> Any:
            return signature(*kinds)

    infer_global(function, types.Function(Template))

    def register(code: Code) -> Code:
        @lower_builtin(function, types.VarArg(types.Any))  # type: ignore[untyped-decorator]
        def emit(context: Any, builder: Any, call_signature: Any, values: Any) -> Any:
            result = code(context, builder, call_signature.args, values)
            return context.get_dummy_value() if result is None else result

        return code

    return register


class Numbers(NamedTuple):
    """Numbers of an array, one after the other, in LLVM code.

    Addresses and loads name the type of a number: pointers of newer LLVM do not have it.
    """

    builder: Any
    kind: Any
    first: Any

    def load(self, index: Any) -> Any:
        """Return the number at ``index``."""
        return self.builder.load(self.import_object(index).first, typ=self.kind)

    def import_object(self, index: Any) -> Numbers:
        """Return the numbers from ``index`` on."""
        address = self.builder.gep(self.first, [index], inbounds=True, source_etype=self.kind)
        return self._replace(first=address)


def array_numbers(context: Any, builder: Any, kind: Any, value: Any) -> Numbers:
    """Return the numbers of an array."""
    first = make_array(kind)(context, builder, value).data
    return Numbers(builder, context.get_data_type(kind.dtype), first)
