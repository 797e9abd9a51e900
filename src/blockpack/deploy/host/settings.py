"""How a host deploys: ``host.toml`` beside the generations, so that nobody has to say it again.

Its command is run, and its repository is deployed. So it is read only if nobody but this user, or
root, could have written it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

from attrs import asdict, evolve, field, fields, frozen

from ...errors import TargetError, UsageError, require_path
from ...planning.options import key_of
from ...reading.ownership import require_unshared
from ...workers.processors import Jobs
from ...writing.place import Place
from ...writing.replacement import replace
from ..file_names import MOST_BYTES
from ..manifest.document import Document, Node, is_number, shown, told, toml
from .root import target_errors

FILE = "host.toml"


def _absolute(path: str | None) -> str | None:
    return path and os.path.abspath(path)


@frozen(kw_only=True)
class HostSettings:
    """How a host deploys; None is what was not said. `repository`, `identity`, `key_file` and
    `runtime_dir` are paths, which become absolute; `max_size` is in bytes.
    """

    repository: str | None = field(default=None, converter=_absolute)
    revision: str | None = None
    on_activate: str | None = None
    keep: int | None = None
    identity: str | None = field(default=None, converter=_absolute)
    key_file: str | None = field(default=None, converter=_absolute)
    runtime_dir: str | None = field(default=None, converter=_absolute)
    max_size: int | None = None
    jobs: Jobs | None = None

    @classmethod
    def of(cls, root: str | os.PathLike[str]) -> Self:
        """What the file under `root` says, if there is one. Raises `Problems` with all that is
        wrong with it, `TargetError` if it cannot be read, or another user could have written it.
        """
        path = os.path.join(require_path(root), FILE)
        with target_errors(path, os.fspath(root)):
            try:
                with Place.own(os.fspath(root)) as place:
                    descriptor = place.open_file(FILE)
            except FileNotFoundError:
                return cls()
            with open(descriptor, "rb") as file:
                require_unshared(path, os.fstat(descriptor), TargetError)
                text = file.read(MOST_BYTES + 1)
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str | bytes, path: str) -> Self:
        """The settings in a text. Raises `Problems`."""
        document = Document(text, path, "file of settings")
        top = document.top
        top.require_known(KEYS)
        found = {
            each.name: _READERS.get(each.name, _text)(top[key_of(each.name)])
            for each in fields(cls)
            if key_of(each.name) in top
        }
        if "revision" in top and "repository" not in top:
            top["revision"].complain("belongs to a repository", "set repository, too")
        document.finish()
        return cls(**found)

    def over(self, other: Self) -> Self:
        """These settings, and those of `other` where these say nothing."""
        return evolve(other, **self._said())

    def _said(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def write(self, root: str | os.PathLike[str]) -> None:
        """Write the file under `root`: whole, or not at all. Raises `TargetError`."""
        path = os.path.join(require_path(root), FILE)
        with target_errors(path, os.fspath(root)), Place.own(os.fspath(root)) as place:
            replace(place, FILE, self.text().encode(), flush=True, mode=0o644)

    def text(self) -> str:
        """The file's text. Raises `UsageError` for a path that is not UTF-8."""
        text = "".join(f"{key_of(name)} = {toml(value)}\n" for name, value in self._said().items())
        try:
            text.encode()
        except UnicodeEncodeError:
            rule = "cannot be written in TOML, which is UTF-8"
            raise UsageError(text.encode(errors="backslashreplace").decode(), rule) from None
        return text


KEYS = tuple(key_of(each.name) for each in fields(HostSettings))
"""All keys of the file."""

_MOST_COUNT = (1 << 31) - 1


def _text(node: Node) -> str | None:
    text = node.text()
    if text is not None and "\0" in text:
        node.complain("holds a NUL", "leave that out")
    return text


def _path(node: Node) -> str | None:
    text = _text(node)
    if text is not None and not os.path.isabs(text):
        node.complain(f"is an absolute path, not {shown(text)}")
    return text


def _count(node: Node, others: str = "") -> int | None:
    value = node.value
    if is_number(value) and 1 <= value <= _MOST_COUNT:
        return int(value)
    node.complain(f"is {others}a number from 1 to {_MOST_COUNT:,}, not {told(value)}")
    return None


def _jobs(node: Node) -> Jobs | None:
    return "auto" if node.value == "auto" else _count(node, "'auto' or ")


def _size(node: Node) -> int | None:
    size = node.size()
    if size is not None and size < 1:
        node.complain(f"is a size of 1 byte or more, not {told(size)}")
    return size


_READERS: Mapping[str, Callable[[Node], Any]] = {
    **dict.fromkeys(("repository", "identity", "key_file", "runtime_dir"), _path),
    "keep": _count,
    "max_size": _size,
    "jobs": _jobs,
}
"""What takes the values of keys that are not just text."""
