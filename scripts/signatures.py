"""Signatures for the API pages: those of classes of attrs and of named tuples, which stand in no
source; what an argument may be instead of its type's name; permission bits in octal.
"""

from __future__ import annotations

import ast
import inspect
from contextlib import suppress
from typing import Any

import attrs
import griffe

import blockpack
import blockpack.deploy

PUBLIC = {
    f"{found.__module__}.{found.__qualname__}": found
    for package in (blockpack, blockpack.deploy)
    for found in (getattr(package, name) for name in dir(package))
    if isinstance(found, type) and (attrs.has(found) or hasattr(found, "_fields"))
}

TOLD = {name for name in dir(blockpack) if not callable(getattr(blockpack, name))}
"""Other names for types that the pages explain."""


class Signatures(griffe.Extension):
    """Makes signatures of public names whole, when all modules are loaded."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Give a class the ``__init__`` that is made for it when it runs."""
        if cls.path in PUBLIC and "__init__" not in cls.members:
            made = inspect.signature(PUBLIC[cls.path]).parameters.values()
            parameters = griffe.Parameters(*(_parameter(cls, each) for each in made))
            cls.set_member("__init__", griffe.Function("__init__", parameters=parameters))
            _complete(cls, parameters)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Complete the parameters of a function, and what it returns."""
        _complete(func, func.parameters)
        func.returns = _spelled(func, func.returns)


def _parameter(cls: griffe.Class, made: inspect.Parameter) -> griffe.Parameter:
    classes = PUBLIC[cls.path].__mro__
    home = next(
        (each for each in classes if made.name in vars(each).get("__annotations__", {})), None
    )
    scope = (
        cls if home is None else cls.modules_collection[f"{home.__module__}.{home.__qualname__}"]
    )
    annotation = getattr(made.annotation, "__forward_arg__", made.annotation)
    return griffe.Parameter(
        made.name,
        annotation=griffe.safe_get_annotation(ast.parse(annotation, mode="eval").body, scope),
        kind=griffe.ParameterKind[made.kind.name.lower()],
        default=None if made.default is made.empty else _shown(made.default),
    )


def _shown(default: Any) -> str:
    """A default in short; what is found out for each object, or is no literal, is ``...``."""
    if isinstance(default, blockpack.Profile):
        return repr(default.name)
    shown = repr(default)
    is_made = default is attrs.NOTHING or "<" in shown or hasattr(default, "_fields")
    return "..." if is_made else shown


def _complete(owner: griffe.Object, parameters: griffe.Parameters) -> None:
    for each in parameters:
        if each.name == "mode" and str(each.default).isdecimal():
            each.default = oct(int(str(each.default)))
        each.annotation = _spelled(owner, each.annotation)


def _spelled(owner: griffe.Object, annotation: Any) -> Any:
    """A type with what other names for types stand for; those that have a page keep them."""
    if isinstance(annotation, griffe.ExprName):
        with suppress(KeyError, griffe.AliasResolutionError):
            named = owner.modules_collection[annotation.canonical_path]
            if (
                named.is_attribute
                and isinstance(named.value, griffe.Expr)
                and named.name not in TOLD
            ):
                return _spelled(owner, named.value)
    elif isinstance(annotation, griffe.ExprBinOp):
        left, right = (_spelled(owner, side) for side in (annotation.left, annotation.right))
        return griffe.ExprBinOp(left, annotation.operator, right)
    elif isinstance(annotation, griffe.ExprSubscript):
        return griffe.ExprSubscript(annotation.left, _spelled(owner, annotation.slice))
    elif isinstance(annotation, griffe.ExprTuple):
        elements = [_spelled(owner, each) for each in annotation.elements]
        return griffe.ExprTuple(elements, implicit=annotation.implicit)
    return annotation
