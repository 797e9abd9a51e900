"""MirageOS' skeleton of a domain's configuration, ``NAME.xl.in``, filled in.

``mirage configure -t xen`` writes it (mirage's lib/devices/target.ml), with the numbers that the
unikernel will look for its devices under, and with a placeholder for what only the host knows:
``@NAME@``, ``@KERNEL@``, ``@MEMORY@`` (MiB), ``@BLOCK:filename@``, ``@NETWORK:name@``. Each stands
in a string, but for the memory. Disks are ``access=rw`` there, and become ``access=ro`` here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import basename

from ...errors import (
    BlockpackError,
    SourceError,
    UsageError,
    printable,
    raise_problems,
    reading_errors,
)
from .consumer import Consumer
from .disks import Deployed
from .machines import escaped

_PLACEHOLDER = re.compile(
    r"(?:access=(?P<access>r[ow])(?P<between>[^'\"\n@]*))?"
    r"@(?P<kind>[A-Z]+)(?::(?P<name>[^@\n]*))?@"
)

_BRIDGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*", re.ASCII)

_MOST = 1 << 20
"""Bytes of a skeleton: far more than any has."""


Told = Mapping[str, str | None]
"""What only the host knows, by placeholders: KERNEL, MEMORY; or bridges by their networks' names,
that of ``""`` for all others."""


def network(text: str) -> tuple[str, str]:
    """``[NAME=]BRIDGE`` as name and bridge. Raises `UsageError`."""
    name, equals, bridge = text.rpartition("=")
    if not _BRIDGE.fullmatch(bridge) or (equals and not name):
        rule = "is not [NAME=]BRIDGE"
        raise UsageError(text, rule, "give a bridge, such as xenbr0, or service=xenbr0")
    return name, bridge


def filled_in(path: Path, consumer: Consumer, told: Told, bridges: Told) -> tuple[str, list[str]]:
    """The skeleton at `path` for what is deployed, and warnings.

    Raises `SourceError` if it cannot be read, and `Problems` with every placeholder that nothing
    is known for, and every disk that cannot be used: without it there is no whole skeleton.
    """
    raise_problems("xen cannot use all of these images", consumer.problems)
    deployed = consumer.deployed
    told = {"NAME": deployed.name, **told}
    # ``block_of_file NAME`` may have a volume's name, or its file's.
    names = [(name, disk) for disk in deployed.disks for name in (disk.name, basename(disk.path))]
    disks, used = dict(names), set[str]()
    problems: list[BlockpackError] = []

    def replaced(match: re.Match[str]) -> str:
        kind, name, access = match["kind"], match["name"], match["access"]
        disk = disks.get(basename(name)) if kind == "BLOCK" and name else None
        if disk is not None:
            used.add(disk.name)
            access = access and ("rw" if disk.writable else "ro")
        found = (disk.path,) if disk is not None else _value(kind, name, deployed, told, bridges)
        value, *why = found
        if value is None:
            placeholder = f"@{kind}@" if name is None else f"@{kind}:{printable(name)}@"
            problems.append(UsageError(placeholder, *why))
            return match[0]
        return (f"access={access}{match['between']}" if access else "") + escaped(value)

    text = "".join(
        line if line.lstrip().startswith("#") else _PLACEHOLDER.sub(replaced, line)
        for line in _read(path).splitlines(keepends=True)
    )
    raise_problems(f"{printable(str(path))} cannot be filled in", problems)
    return text, [
        f"{disk.name}: the skeleton has no @BLOCK:{disk.name}@, and does not attach it"
        for disk in deployed.disks
        if disk.name not in used
    ]


def _value(
    kind: str, name: str | None, deployed: Deployed, told: Told, bridges: Told
) -> tuple[str | None, str, str, str]:
    """What a placeholder but a disk's stands for, if that is known; and the rule, the remedy and
    the option to tell if it is not.
    """
    if kind == "BLOCK" and name is not None:
        known = ", ".join(disk.name for disk in deployed.disks)
        return None, "there is no such volume", f"there are {known}", ""
    if kind == "NETWORK" and name is not None:
        bridge = bridges.get(name, bridges.get(""))
        return bridge, "no bridge is given", "", f"network={name}=BRIDGE"
    if kind in told and name is None:
        option = f"{kind.lower()}={'N' if kind == 'MEMORY' else 'FILE'}"
        return told[kind], "is not given", "", option
    return None, "is not a placeholder of MirageOS' skeletons", "check its name", ""


def _read(path: Path) -> str:
    name, remedy = str(path), "mirage configure -t xen writes one"
    try:
        with reading_errors(name, remedy=remedy), open(path, encoding="utf-8", newline="") as file:
            return file.read(_MOST)
    except UnicodeDecodeError:
        remedy = "give the skeleton that mirage wrote"
        raise SourceError(name, "is not text in UTF-8", remedy) from None
