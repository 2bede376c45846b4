"""Whether an object of a user's own can be called as this package will call it."""

from __future__ import annotations

import inspect


def takes(function: object, arguments: int, *options: str) -> bool:
    """Return whether an object is a function of so many arguments and of these options.

    A class is none: a call of it makes an object.

    Examples
    --------
    >>> takes(lambda record, labels: 0, 2), takes(lambda record: 0, 2), takes(dict, 0)
    (True, False, False)
    """
    if isinstance(function, type) or not callable(function):
        return False
    call = getattr(function, "forward", function)  # a torch module itself takes anything
    try:
        inspect.signature(call).bind(*range(arguments), **dict.fromkeys(options))
    except (TypeError, ValueError) as error:
        return isinstance(error, ValueError)  # a compiled function tells no signature
    return True
