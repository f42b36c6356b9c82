"""Arguments of public functions: other types than a function says are refused in one sentence."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter
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
    The fields of `**choice: Unpack[X]`, where X is a `TypedDict`, are parameters by keyword, which the function's
    signature shows.
    """
    signature, modules = _unpacked(function)
    own = inspect.unwrap(function).__module__
    parameters = signature.parameters.values()
    kinds = {
        each.name: [_kind(name, modules.get(each.name, own)) for name in _types(each.annotation)]
        for each in parameters
        if each.kind is not each.VAR_POSITIONAL
    }

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in {**dict(zip(kinds, args, strict=False)), **kwargs}.items():
            if name not in kinds:
                raise _unknown(function.__name__, name, kinds)
            if not any(kind.fits is None or kind.fits(value) for kind in kinds[name]):
                named = value is None or isinstance(value, str)
                received = repr(value) if named else f"a value of type {type(value).__name__}"
                raise UsageError(
                    f"Expected {' or '.join(kind.called for kind in kinds[name])} for {name}, received {received}; "
                    f"call {function.__name__} with another {name}."
                )
            if name.endswith("seed") and isinstance(value, int) and not 0 <= value < SEEDS:
                raise UsageError(f"Expected a seed from 0 to {SEEDS - 1}, received {value}; choose another {name}.")
        return function(*args, **kwargs)

    checked.__signature__ = signature  # type: ignore[attr-defined]
    return checked


def _unpacked(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, str]]:
    """Return a function's signature with the fields of its `**choice`, and the module that declares each of these."""
    signature = inspect.signature(function)
    shown: list[Parameter] = []
    modules: dict[str, str] = {}
    for parameter in signature.parameters.values():
        packed = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
        if packed is None:
            shown.append(parameter)
            continue
        for name, field in inspect.unwrap(function).__globals__[packed[1]].__annotations__.items():
            modules[name] = field.__forward_module__
            shown.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=field.__forward_arg__))
    return signature.replace(parameters=shown), modules


def _types(annotation: str) -> list[str]:
    """Return the names of the types in an annotation, without what is in their brackets."""
    while "[" in annotation:
        annotation = re.sub(r"\[[^\[\]]*\]", "", annotation)
    return annotation.split(" | ")


def _unknown(function: str, name: str, kinds: Mapping[str, Any]) -> TypeError:
    close = difflib.get_close_matches(name, kinds, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def _kind(name: str, module: str) -> _Kind:
    """Return the type that has a name in a module."""
    known = vars(sys.modules[module]).get(name)
    if known is Any:  # an empty text would be the current folder
        return _Kind("a value", lambda value: value is not None and not (isinstance(value, str) and value == ""))
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
