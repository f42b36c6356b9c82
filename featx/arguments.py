"""Arguments of public functions: other types than a function says are refused in one sentence."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar, get_args, get_origin

from featx.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

SEEDS = 2**32  # NumPy and scikit-learn take lower ones
# What a caller may give, and what it is called, by the name of a type in an annotation.
TYPES: dict[str, tuple[type, str]] = {
    "None": (type(None), "None"),
    "str": (str, "a text"),
    "Path": (os.PathLike, "a path"),
    "bool": (bool, "True or False"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "Mapping": (Mapping, "a dictionary"),
}


class _Kind(NamedTuple):
    """One type of a parameter: what it is called, and the check of a value; None for a type not known here."""

    called: str
    fits: Callable[[object], bool] | None


def checks_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse calls of a function with arguments of other types than it says, and seeds out of range.

    Otherwise a table or None would fail far inside, a misspelt word would mean the default, and an empty text the
    current folder. A parameter one of whose types is not known here, such as a sequence, is left to the function.
    """
    kinds = {
        each.name: [_kind(name, function) for name in re.sub(r"\[.*\]", "", each.annotation).split(" | ")]
        for each in inspect.signature(function).parameters.values()
        if each.kind is not each.VAR_POSITIONAL
    }

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in {**dict(zip(kinds, args, strict=False)), **kwargs}.items():
            expected = kinds.get(name, [_Kind("", None)])  # Python itself refuses an unknown name
            if not any(kind.fits is None or kind.fits(value) for kind in expected):
                received = repr(value) if isinstance(value, str) else f"a value of type {type(value).__name__}"
                raise UsageError(
                    f"Expected {' or '.join(kind.called for kind in expected)} for {name}, received {received}; "
                    f"call {function.__name__} with another {name}."
                )
            if name == "seed" and isinstance(value, int) and not 0 <= value < SEEDS:
                raise UsageError(f"Expected a seed from 0 to {SEEDS - 1}, received {value}; choose another seed.")
        return function(*args, **kwargs)

    return checked


def _kind(name: str, function: Callable[..., Any]) -> _Kind:
    known = inspect.unwrap(function).__globals__.get(name)
    if get_origin(known) is Literal:
        words = get_args(known)
        return _Kind(", ".join(words), lambda value: isinstance(value, str) and value in words)
    if name in TYPES:
        base, called = TYPES[name]
    elif isinstance(known, type) and known.__module__ != "collections.abc":
        base, called = known, f"a {name}"
    else:
        return _Kind(name, None)
    return _Kind(called, lambda value: isinstance(value, base) and not (isinstance(value, str) and value == ""))
