"""Checks of arguments: their names, choices, numbers and functions, each answered in one form.

Nothing heavy is imported here, so that the command line can check its options at once.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

SYNONYMS = {
    "num_steps": "T steps timesteps time_steps n_steps nsteps length",
    "epochs": "num_epochs n_epochs iterations",
    "lr": "learning_rate learn_rate eta",
    "batch_size": "bs batch minibatch",
    "optimizer": "optimiser opt",
    "schedule": "scheduler lr_scheduler lr_schedule",
    "loss": "loss_fn criterion",
    "augment": "augmentation augmentations transform",
    "clip_norm": "grad_clip clip max_norm",
    "hidden": "hidden_size hidden_sizes num_hidden n_hidden hidden_features layers",
    "in_features": "inputs num_inputs n_inputs input_size",
    "out_features": "outputs num_outputs n_outputs output_size num_classes",
    "reset_mechanism": "reset",
    "spike_grad": "surrogate surrogate_function",
    "beta": "decay alpha",
    "threshold": "v_threshold v_th thresh",
    "random_state": "seed",
    "validation": "val validation_data validation_split",
    "invert": "inverted",
    "accuracy": "acc",
    "membrane": "mem membranes potential",
    "spikes": "spk spk_rec",
    "predictions": "prediction pred preds",
}
"""Other words for names of options, as tutorials and other libraries have them."""

LONG = 200
"""Most letters of a value in an error."""

SEEDS = f"0..{2**63 - 1}"
"""Seeds that torch, NumPy and Python take alike."""

NOWHERE: Mapping[str, str] = {}
Decorated = TypeVar("Decorated", bound="Callable[..., Any]")


def must_be(name: str, expected: str, value: Any, error: type[Exception] = ValueError) -> Exception:
    """Return the error for a value that an argument must not have.

    It has the value, of arrays and tensors their dtype and shape, for a `TypeError` the type alone,
    as for a value that takes more than a line.

    Examples
    --------
    >>> must_be("size", "(height, width)", 28), must_be("size", "a tuple", 28, TypeError)
    (ValueError('size must be (height, width); got 28'), TypeError('size must be a tuple; got int'))
    """
    if isinstance(value, type):
        text = f"the class {value.__name__}"
    elif error is TypeError:
        text = type(value).__name__
    elif getattr(value, "shape", None) and hasattr(value, "dtype"):
        text = f"{value.dtype} of shape {tuple(value.shape)}"
    else:
        text = repr(value)
        text = type(value).__name__ if len(text) > LONG or "\n" in text else text
    return error(f"{name} must be {expected}; got {text}")


def check_choice(name: str, value: object, choices: Collection[str], other: str = "") -> None:
    """Raise a `ValueError` unless a value is one of some names; ``other`` is what else it may be.

    Examples
    --------
    >>> check_choice("of", "spike", ("spikes", "membrane"))
    Traceback (most recent call last):
    ValueError: of must be one of spikes, membrane; got 'spike'; did you mean spikes?
    """
    if not isinstance(value, str) or value not in choices:
        error = must_be(name, f"one of {', '.join(choices)}{other}", value)
        raise ValueError(f"{error}{suggestion(value, choices) if isinstance(value, str) else ''}")


def plain_number(value: Any) -> Any:
    """Return a number of NumPy or torch as one of Python, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def check_number(name: str, value: Any, span: str) -> Any:
    """Return a number of Python, NumPy or torch as one of Python.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : int or float
        A number, or an array or tensor of a single one; no bool.
    span : str
        ``"1.."`` or ``"1..8"`` for an integer, ``"[0, 1)"`` or ``"(0, inf)"`` for a float.

    Raises
    ------
    ValueError
        If it is no number of this kind, or lies outside.

    Examples
    --------
    >>> import numpy as np
    >>> check_number("num_steps", np.int64(5), "1..8"), check_number("beta", 1, "[0, 1]")
    (5, 1.0)
    >>> check_number("threshold", 0, "(0, inf)")
    Traceback (most recent call last):
    ValueError: threshold must be a number, above 0 and finite; got 0
    """
    low: float
    high: float
    kind: Callable[[Any], float]
    plain = plain_number(value)
    if ".." in span:
        first, last = span.split("..")
        low, high, kind = int(first), int(last or 2**63 - 1), operator.index
        inside = hasattr(plain, "__index__") and low <= kind(plain) <= high
        most = " and below 2**63" * (isinstance(plain, int) and plain > high)
        expected = f"an integer in {span}" if last else f"an integer >= {first}{most}"
        expected = expected.replace(str(2**63 - 1), "2**63 - 1")
    else:
        low, high, kind = *map(float, span[1:-1].split(",")), float
        bounds = [f"{'above' if span[0] == '(' else 'at least'} {low:g}"] * (low > -math.inf)
        bounds += [f"{'below' if span[-1] == ')' else 'at most'} {high:g}"] * (high < math.inf)
        bounds += ["finite"] * span.endswith("inf)")
        expected = f"a number, {' and '.join(bounds)}"
        low = math.nextafter(low, math.inf) if span[0] == "(" else low
        high = math.nextafter(high, -math.inf) if span[-1] == ")" else high
        inside = issubclass(type(plain), Real) and low <= plain <= high  # not NaN
    if isinstance(plain, bool) or not inside:
        raise must_be(name, expected, value)
    return kind(plain)


def set_numbers(settings: Any, **spans: str) -> None:
    """Check numbers of a frozen dataclass by `check_number`, and flags, its fields of type bool.

    All are kept as Python's own. A number may be None if None is its default.
    """
    from dataclasses import fields  # the help of a command does without

    for name, span in spans.items():
        value = getattr(settings, name)
        if value is not None or getattr(type(settings), name, 0) is not None:
            object.__setattr__(settings, name, check_number(name, value, span))
    for name in (field.name for field in fields(settings) if field.type == "bool"):
        if (value := plain_number(getattr(settings, name))) not in (False, True):
            raise must_be(name, "True or False", value)
        object.__setattr__(settings, name, bool(value))


def suggestion(word: str, names: Iterable[str], elsewhere: Mapping[str, str] = NOWHERE) -> str:
    """Return a question for the name that was meant, or an empty string.

    A synonym goes before a word of nearly the same letters. ``elsewhere`` has how to write what
    another object has.

    Examples
    --------
    >>> suggestion("treshold", ["beta", "threshold"]), suggestion("--steps", ["--num-steps"])
    ('; did you mean threshold?', '; did you mean --num-steps?')
    """
    bare = {name.lstrip("-").replace("-", "_"): name for name in (*elsewhere, *names)}
    word = word.lstrip("-").replace("-", "_")
    same = [name for name in bare if word in (name, *SYNONYMS.get(name, "").split())]
    for name in same or difflib.get_close_matches(word, bare, 1):
        return (
            f": write {elsewhere[name]}" if name in elsewhere else f"; did you mean {bare[name]}?"
        )
    return ""


def check_names(
    title: str,
    keywords: Iterable[str],
    names: Collection[str],
    elsewhere: Mapping[str, str] = NOWHERE,
) -> None:
    """Raise a `TypeError` for a name of an option that a function does not have.

    Parameters
    ----------
    title : str
        Name of the function.
    keywords, names : collection of str
        Names in a call, and of all options.
    elsewhere : mapping, default {}
        Names that another object has, and how they are written there.
    """
    for name in keywords:
        if name not in names:
            raise TypeError(f"{title} has no option {name!r}{suggestion(name, names, elsewhere)}")


def named(elsewhere: Mapping[str, str] = NOWHERE) -> Callable[[Decorated], Decorated]:
    """Return a decorator: a function or a class answers a wrong name as `check_names` does.

    A call of it has one frame more: count it in the ``stacklevel`` of a warning.

    Examples
    --------
    >>> @named({"epochs": "TrainConfig(epochs=...)"})
    ... def fit(data, *, run=None): ...
    >>> fit([], num_epochs=3)
    Traceback (most recent call last):
    TypeError: fit has no option 'num_epochs': write TrainConfig(epochs=...)
    """

    def decorate(function: Decorated) -> Decorated:
        if isinstance(function, type):
            function.__init__ = decorate(function.__init__)  # type: ignore[misc]
            return function
        names = inspect.signature(function).parameters
        places = [n for n, x in names.items() if x.kind is x.POSITIONAL_OR_KEYWORD]
        title = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            check_names(title, options, names, elsewhere)
            if len(args) > len(places):
                raise _by_position(title, args, places, names)
            return function(*args, **options)

        return call  # type: ignore[return-value]

    return decorate


def _by_position(
    title: str, args: Sequence[Any], places: Sequence[str], names: Iterable[str]
) -> TypeError:
    """Return the error for more arguments by position than a function has places for them."""
    bound = len({"self", "cls"} & {*places[:1]})
    places = places[bound:]
    first = next(iter(places), [*names][bound])
    form = f"{' and '.join(places)} by position, and all else by name" if places else "names alone"
    return TypeError(
        f"{title} takes {form}: write {first}=...; got {len(args) - bound} by position"
    )


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
