"""The options of a volume, as a manifest's table of it gives them.

Which values they may have is for the format's volume class to say; what it refuses is noted as a
problem of the key that is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve

from ...errors import ImageError, UsageError
from ...formats.registry import FORMATS
from ...planning.options import VOLUME, Option, as_key, key_of, taken_by
from .consumers import CONSUMERS, defaults
from .document import HUGE, Node, is_number, shortened
from .specs import ImageSpec, Value, volume_of

MOST_TEXTS = 128
"""How many texts an option has at most."""


def format_of(table: Node) -> str | None:
    """The format of a volume, if it exists."""
    node, known = table["format"], tuple(FORMATS)
    *most, last = (f'format = "{name}"' for name in known)
    name = node.text(f"give {', '.join(most)} or {last}")
    if name is None or name in known:
        return name
    node.not_one_of(known)
    return None


def with_defaults(
    table: Node, format: str | None, consumers: Sequence[str], others: Mapping[str, Value]
) -> dict[str, Value]:
    """The options in the table, as arguments of the format's volume class; for those that are not
    in it, what the consumers ask for, and then `others`.
    """
    taken = VOLUME if format is None else taken_by(FORMATS[format].volume_class())
    found = options(table, VOLUME)
    for option in VOLUME:
        if option not in taken and found.pop(option.name, None) is not None:
            table[option.key].complain(f"is not for the format {format}", "remove it")
    if format is None:
        return found
    # What is given comes last, for of two that do not go together the last one is to blame.
    wanted = {**defaults(consumers, format, found), **others, **found}
    try_out(table, partial(volume_of, format), wanted)
    return wanted


def options(table: Node, known: Iterable[Option]) -> dict[str, Any]:
    """The values of those options that are given, as arguments."""
    found = {option.name: option_of(table, option) for option in known}
    return {name: value for name, value in found.items() if value is not None}


def option_of(table: Node, option: Option) -> Any:
    """The option's value, if there is one and it is of the right type."""
    node = table[option.key]
    value = node.value
    if value is None or option.kind == "patterns":
        return None
    if option.kind == "flag":
        return node.flag()
    if option.kind == "texts":
        return tuple(text for _, text in node.texts(MOST_TEXTS))
    if option.kind.startswith("size") and value not in option.choices:
        return node.size()
    if is_number(value) and (option.kind == "number" or any(map(str.isdigit, option.choices))):
        if not -HUGE < value < HUGE:
            node.complain("there is no such number here")
            return None
        if option.kind == "number":
            return value
        value = str(value)
    if option.choices and value not in option.choices:
        node.not_one_of(option.choices)
        return None
    return evolve(node, value=value).text()


def consumers_of(node: Node) -> tuple[str, ...]:
    """The consumers that a deployment names: one, or a list."""
    is_one = isinstance(node.value, str)
    given = [(node, node.value)] if is_one else node.texts(len(CONSUMERS))
    for each, name in given:
        if name not in CONSUMERS:
            each.not_one_of(tuple(CONSUMERS))
    return tuple(name for _, name in given if name in CONSUMERS)


def require_usable(table: Node, spec: ImageSpec, consumers: Sequence[str]) -> None:
    """Note why consumers cannot use the image of what is in a table."""
    device = spec.device()
    for consumer in consumers:
        for refusal in CONSUMERS[consumer].refusals(device):
            key = key_of(refusal.option.partition("=")[0])
            if key == "pad" and "size" in spec.options:
                key = "size"
            told = ImageError("", *refusal.args[1:]).told(as_key)  # the key says of what
            (table[key] if key else table).complain(f"{consumer}: {told}")


def try_out(table: Node, make: Callable[..., object], options: dict[str, Any]) -> None:
    """Note why `make` refuses `options` as its arguments, and take those out that it does."""
    while (rule := _refused(make, options)) is not None:
        culprit = _culprit(make, options, rule)
        (table[key_of(culprit)] if culprit else table).complain(shortened(rule, 200))
        options.pop(culprit, None)
        if not culprit:
            return


def _refused(make: Callable[..., object], options: Mapping[str, Any]) -> str | None:
    """Why `make` refuses `options`; None if it does not."""
    try:
        make(**options)
    except UsageError as error:
        return error.errors[0].told(as_key)
    return None


def _culprit(make: Callable[..., object], options: Mapping[str, Any], rule: str) -> str:
    """The one of `options` that breaks `rule`: one that is refused by itself, or else the last
    without which the rule is kept; none if it is broken by giving none.
    """
    names = list(options)
    if _refused(make, {}) == rule:
        return ""
    for name in names:
        if _refused(make, {name: options[name]}) == rule:
            return name
    for name in reversed(names):
        if _refused(make, {key: options[key] for key in names if key != name}) != rule:
            return name
    return names[-1]
