"""The options of a volume, as a manifest's table of it gives them.

Which values they may have is for the format's volume class to say; what it refuses is noted as a
problem of the key that is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ...errors import ImageError, UsageError
from ...formats.registry import FORMATS
from ...planning.options import VOLUME, Option, as_key, key_of, taken_by
from .consumers import CONSUMERS, defaults
from .document import HUGE, is_number, shortened
from .line_numbers import Path
from .specs import ImageSpec, Value, volume_of
from .tree_tables import TreeTables

MOST_TEXTS = 128
"""How many texts an option has at most."""


class VolumeTables(TreeTables):
    """A document with tables of volumes: the format of each, and the options of that.

    They are for `consumers`.
    """

    consumers: tuple[str, ...] = ()

    def format(self, path: Path, table: Mapping[str, Any]) -> str | None:
        """The format, if it exists."""
        here = (*path, "format")
        known = tuple(FORMATS)
        name = self.text(here, table.get("format"), f"give {_alternatives(known)}")
        if name is None or name in known:
            return name
        self.not_one_of(here, name, known)
        return None

    def given(self, path: Path, table: Mapping[str, Any], format: str | None) -> dict[str, Value]:
        """The options that are given, as arguments of the format's volume class, and those that
        its consumers ask for.
        """
        taken = VOLUME if format is None else taken_by(FORMATS[format].volume_class())
        found = self.options(path, table, VOLUME)
        for option in VOLUME:
            if option not in taken and found.pop(option.name, None) is not None:
                self.complain((*path, option.key), f"is not for the format {format}", "remove it")
        if format is None:
            return found
        # What is given comes last, for of two that do not go together the last one is to blame.
        options = {**defaults(self.consumers, format, found), **found}
        self.tried(path, partial(volume_of, format), options)
        return options

    def options(
        self, path: Path, table: Mapping[str, Any], known: Iterable[Option]
    ) -> dict[str, Any]:
        """The values of those options that are given, as arguments."""
        found = {option.name: self.option(path, table, option) for option in known}
        return {name: value for name, value in found.items() if value is not None}

    def option(self, path: Path, table: Mapping[str, Any], option: Option) -> Any:
        """The option's value, if there is one and it is of the right type."""
        if option.key not in table or option.kind == "patterns":
            return None
        here = (*path, option.key)
        value = table[option.key]
        if option.kind == "flag":
            return self.flag(path, table, option.key)
        if option.kind == "texts":
            return tuple(text for _, text in self.texts(here, value, MOST_TEXTS))
        if option.kind.startswith("size") and value not in option.choices:
            return self.size(here, value)
        if is_number(value) and (option.kind == "number" or any(map(str.isdigit, option.choices))):
            if not -HUGE < value < HUGE:
                self.complain(here, "there is no such number here")
                return None
            if option.kind == "number":
                return value
            value = str(value)
        if option.choices and value not in option.choices:
            self.not_one_of(here, value, option.choices)
            return None
        return self.text(here, value)

    def consumers_of(self, deployment: Mapping[str, Any]) -> tuple[str, ...]:
        """The consumers that the table of the deployment names: one, or a list."""
        here: Path = ("deployment", "consumer")
        value = deployment.get("consumer", [])
        given: list[tuple[Path, str]] = [(here, value)]
        if not isinstance(value, str):
            texts = self.texts(here, value, len(CONSUMERS))
            given = [((*here, number), text) for number, text in texts]
        for path, name in given:
            if name not in CONSUMERS:
                self.not_one_of(path, name, tuple(CONSUMERS))
        return tuple(name for _, name in given if name in CONSUMERS)

    def require_usable(self, path: Path, spec: ImageSpec) -> None:
        """Note why consumers cannot use the image of what is at `path`."""
        device = spec.device()
        for consumer in self.consumers:
            for refusal in CONSUMERS[consumer].refusals(device):
                key = key_of(refusal.option.partition("=")[0])
                if key == "pad" and "size" in spec.options:
                    key = "size"
                told = ImageError("", *refusal).told(as_key)
                self.complain((*path, key) if key else path, f"{consumer}: {told}")

    def tried(self, path: Path, make: Callable[..., object], options: dict[str, Any]) -> None:
        """Note why `make` refuses `options` as its arguments, and take those out that it does."""
        while (rule := _refused(make, options)) is not None:
            culprit = _culprit(make, options, rule)
            self.complain((*path, key_of(culprit)) if culprit else path, shortened(rule, 200))
            options.pop(culprit, None)
            if not culprit:
                return


def cipher_refused(format: str, options: Mapping[str, Value]) -> str | None:
    """Why nobody would read such images if they are encrypted; None if somebody does."""
    error = volume_of(format, **options).layer_refused
    return None if error is None else error.told(as_key)


def _refused(make: Callable[..., object], options: Mapping[str, Any]) -> str | None:
    """Why `make` refuses `options`; None if it does not."""
    try:
        make(**options)
    except UsageError as error:
        return error.told(as_key)
    return None


def _culprit(make: Callable[..., object], options: Mapping[str, Any], rule: str) -> str:
    """The one of `options` that breaks `rule`.

    That is one which is refused by itself, or else the last without which the rule is kept; none if
    it is broken by giving none.
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


def _alternatives(names: tuple[str, ...]) -> str:
    return ", ".join(f'format = "{name}"' for name in names[:-1]) + f' or format = "{names[-1]}"'
