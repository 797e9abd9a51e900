"""Arguments are held against their annotations: what a type checker refuses is a `UsageError`, too,
which has the argument's name, before anything is done.

A list will do for a tuple; a text is no list of texts. What is annotated with what is imported for
type checkers alone may be anything: whoever uses it says what is wrong. Libraries that do this take
as long to import as all of blockpack.
"""

from __future__ import annotations

import builtins
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, wraps
from inspect import unwrap
from operator import attrgetter
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, BinaryIO, Literal, TypeVar, Union, cast

from attrs import fields, has

from .errors import UsageError, raise_usage

_Target = TypeVar("_Target", bound=Callable[..., Any])

_fitting: set[tuple[type, ...]] = set()
"""The types of values and of their fields that were found right: there may be a million of them."""


def checked(target: _Target) -> _Target:
    """A function that refuses what its annotations exclude; or a class that does when it is made
    (one of attrs, a named tuple, or any other), as do its own public methods.

    A kind that no type tells is ``Annotated[type, test, words]``; the test raises `UsageError`.
    """
    if not isinstance(target, type):
        return cast("_Target", _checking(target, target))
    made: Any = target
    for name, each in [*vars(made).items()]:
        if isinstance(each, FunctionType) and name[0] != "_":
            setattr(made, name, _checking(each, each))
    if not issubclass(made, tuple):
        made.__init__ = _checking(made.__init__, made if has(made) else made.__init__)
        return target
    kinds = made.__annotations__.items()  # as help() shows them, texts
    kinds = {name: getattr(kind, "__forward_arg__", kind) for name, kind in kinds}
    made.__annotations__ = made.__new__.__annotations__ = kinds
    made.__new__ = _checking(made.__new__, made)
    made._replace = lambda self, **changes: made(**{**self._asdict(), **changes})
    return target


def _checking(function: Callable[..., Any], annotated: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, of whose arguments the annotations of something tell."""
    code = unwrap(function).__code__
    names = code.co_varnames[: code.co_argcount]
    makes_tuple = isinstance(annotated, type) and issubclass(annotated, tuple)

    @wraps(function)
    def called(*given: Any, **named: Any) -> Any:
        kinds, converters = _kinds(annotated), _converters(annotated)
        passed = (*zip(names, given, strict=False), *named.items())
        arguments = ((name, each, kinds.get(name, object)) for name, each in passed)
        raise_usage(_refusals(arguments, converters))
        if makes_tuple:
            given, named = tuple(map(_frozen, given)), {n: _frozen(v) for n, v in named.items()}
        return function(*given, **named)

    return called


@cache
def _fields_of(made: Any) -> tuple[list[str], Callable[[object], tuple[object, ...]]]:
    names = [field.name for field in fields(made)]
    return names, attrgetter(*names)


def require_fields(value: object) -> None:
    """Raise `UsageError` for a value of attrs, made unchecked, whose fields are of other types."""
    made: Any = type(value)
    names, values = _fields_of(made)
    found = values(value)
    types = made, *map(type, found)
    if types not in _fitting:
        kinds = map(_kinds(made).__getitem__, names)
        raise_usage(_refusals(zip(names, found, kinds, strict=True), {}))
        if tuple not in types:  # in which there may be others
            _fitting.add(types)


def _refusals(
    arguments: Iterable[tuple[str, object, Any]], converters: Mapping[str, Callable[[Any], object]]
) -> Iterator[UsageError]:
    """Each (name, value, type) whose value is of another type, or is refused by its converter."""
    for name, value, kind in arguments:
        if type(value) is not kind and not _fits(value, kind):
            yield UsageError(name, f"is {_shown(value)}", f"give {_words(kind)}")
        elif name in converters and not isinstance(value, Iterator):  # which gives things once only
            try:
                converters[name](value)
            except UsageError as error:
                yield error


@cache
def _converters(target: Any) -> dict[str, Callable[[Any], object]]:
    """What converts arguments of a class of attrs, by their names."""
    known = fields(target) if has(target) else ()
    return {each.alias: each.converter for each in known if each.converter is not None}


def _frozen(value: object) -> object:
    """A value for what is never changed: lists as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@cache
def _kinds(target: Any) -> dict[str, Any]:
    """What each argument has to be; where it is converted, what is taken for that."""
    if not isinstance(target, type):
        names = vars(builtins) | unwrap(target).__globals__
        for kind in target.__annotations__.values():
            for name in compile(kind, "", "eval").co_names if isinstance(kind, str) else ():
                names.setdefault(name, object)  # what is there for type checkers alone
        hints = typing.get_type_hints(target, localns=names, include_extras=True)
        for kind in [*hints.values()]:
            if typing.get_origin(kind) is typing.Unpack:
                hints |= typing.get_type_hints(typing.get_args(kind)[0], include_extras=True)
        return hints
    hints = typing.get_type_hints(target, include_extras=True)
    for name, converter in _converters(target).items():
        hints[name] = next(iter(_kinds(converter).values()))
    return hints


def _parts(kind: Any) -> tuple[Any, Any]:
    origin = typing.get_origin(kind) or kind
    return Union if origin is UnionType else origin, typing.get_args(kind)


def _fits(value: object, kind: Any) -> bool:
    origin, inner = _parts(kind)
    if origin is Union:
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner and not isinstance(value, bool | float)
    if origin is Annotated:
        with suppress(UsageError):
            fits = _fits(value, inner[0])
            if fits:
                inner[1](value)
            return fits
        return False
    if origin is Callable:
        return callable(value)
    if origin is BinaryIO:  # of which nobody's file objects are instances
        return hasattr(value, "read") or hasattr(value, "write")
    if getattr(origin, "_is_protocol", False):
        return all(hasattr(value, name) for name in vars(origin) if name[0] != "_")
    with suppress(TypeError):  # it is no class
        if not isinstance(value, (tuple, list) if origin is tuple else origin):
            return False
    if not inner or not isinstance(value, Collection):
        return origin is not int or not isinstance(value, bool)
    if isinstance(value, Mapping):
        return all(all(map(_fits, pair, inner)) for pair in value.items())
    if origin is tuple and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return not isinstance(value, str | bytes) and all(_fits(each, inner[0]) for each in value)


def _words(kind: Any) -> str:
    origin, inner = _parts(kind)
    if origin in (Union, Literal):
        *most, last = dict.fromkeys(map(repr if origin is Literal else _words, inner))
        return f"{', '.join(most)} or {last}" if most else last
    if origin is Annotated:
        return str(inner[2])
    if inner and issubclass(origin, Iterable):
        name = "list" if origin in (Iterable, Sequence) else origin.__name__
        return f"{name} of {_words(inner[0])}"
    return "None" if origin is NoneType else str(origin.__name__)


def _shown(value: object) -> str:
    if isinstance(value, str | bytes | int | float | tuple | list | dict | None):
        with suppress(ValueError):  # a number of too many digits
            shown = repr(value)
            return shown if len(shown) <= 60 else f"{shown[:60]}…"
    return type(value).__name__
