"""The files that a profile's reader looks for: that they are there, and that it can read them.

These alone are read before an image is planned; all are small. YAML is parsed, not built into
values, where PyYAML is installed (``blockpack[seed]``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from ..errors import BlockpackError, EntryError
from ..model.entry import Directory, File, name_of
from ..model.tree import Tree
from ..reading.extents import file_bytes
from .layout import LayoutWarning
from .profile import Profile, WantedFile

MOST_PARSED = 128 << 10
"""Files of more bytes are not parsed."""

_USER_DATA = (
    *(b"#cloud-config", b"#!", b"#include", b"#cloud-boothook", b"#part-handler"),
    *(b"## template: jinja", b"\x1f\x8b"),  # the last is gzip
)
"""How user data begins that cloud-init does something with; or it has MIME headers."""

_OTHER_CONFIGS = (b"#cloud-config-archive", b"#cloud-config-jsonp")
"""What begins as YAML with settings does, and is none."""


def matching(wanted: WantedFile, tree: Tree) -> list[File]:
    """The files of `tree` that are meant; capitals do not matter."""
    *above, name = wanted.path.upper().split("/")
    found = [""]
    for part in above:
        children = [child for path in found for child in tree.children(path)]
        found = [
            child.path
            for child in children
            if isinstance(child, Directory) and name_of(child.path).upper() == part
        ]
    return [
        child
        for path in found
        for child in tree.children(path)
        if isinstance(child, File)
        and any(fnmatchcase(name_of(child.path).upper(), each) for each in name.split("|"))
    ]


def lacking(profile: Profile, tree: Tree) -> Iterator[BlockpackError | LayoutWarning]:
    """What `tree` lacks for the reader of `profile`, and what that would not understand."""
    for wanted in profile.files:
        files = matching(wanted, tree)
        for file in files if wanted.syntax != "any" else ():
            try:
                yield from _wrong_in(file, wanted)
            except BlockpackError as error:
                yield error
        if not files and wanted.presence == "required":
            yield _missing(wanted.path, "is missing", wanted)
        elif not files and wanted.presence == "expected":
            path = wanted.path.replace("|", " or ")
            yield LayoutWarning(path, "missing-file", f"is missing; {wanted.purpose}")


def _wrong_in(file: File, wanted: WantedFile) -> Iterator[EntryError | LayoutWarning]:
    """What is wrong. Raises `EntryError`, and `SourceError` if it cannot be read."""
    syntax: str = wanted.syntax
    if file.size > MOST_PARSED:
        text = f"is not checked, for it has {file.size:,} bytes"
        yield LayoutWarning(file.path, "unchecked", text)
        return
    data = file_bytes(file)
    if syntax == "user-data":
        if data and not (data.startswith(_USER_DATA) or b"mime-version:" in data.lower()):
            text = "begins with neither #cloud-config nor #!, so cloud-init ignores it"
            yield LayoutWarning(file.path, "user-data", text)
        if not data.startswith(b"#cloud-config") or data.startswith(_OTHER_CONFIGS):
            return
        syntax = "yaml"
    try:
        keys = _keys(syntax, data)
    except ImportError:
        text = 'its YAML is not checked; pip install "blockpack[seed]" sees to that'
        yield LayoutWarning(file.path, "unchecked", text)
        return
    except RecursionError:
        raise EntryError(file.path, "is nested too deeply", "write it flatter") from None
    except ValueError as error:
        rule = f"is not valid {syntax.upper()}: {error}"
        raise EntryError(file.path, rule, "correct it") from None
    if keys is None and (syntax == "yaml" or wanted.required_keys):
        raise EntryError(file.path, "is not a mapping of keys to values", "correct it")
    for key in sorted({*wanted.required_keys} - (keys or set())):
        yield _missing(file.path, f"has no {key}", wanted)
    for key in sorted({*wanted.expected_keys} - (keys or set())):
        yield LayoutWarning(file.path, "missing-key", f"has no {key}; {wanted.purpose}")


def _missing(path: str, rule: str, wanted: WantedFile) -> EntryError:
    return EntryError(path, f"{rule}, and {wanted.purpose}", "add it")


def _keys(syntax: str, data: bytes) -> set[str] | None:
    """The keys of the mapping in `data`, if it is one. Raises `ValueError` for another syntax."""
    if syntax == "json":
        import json  # late, as all that few images need

        value = json.loads(data.decode())
        return set(value) if isinstance(value, dict) else None
    import yaml

    # The loader in Python: one in C has no guard against nesting.
    try:
        node = yaml.compose(data.decode(), yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    if node is None:
        return set()
    if not isinstance(node, yaml.MappingNode):
        return None
    return {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
