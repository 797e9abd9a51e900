"""The order of the rooms, held against every import: those inside functions and of packages too.

Imports point one way, from the end of the flow to its beginning. So a reader who knows the rooms
before one knows all that it builds on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import blockpack

ROOMS = (
    "errors",
    "arguments",
    "public",
    "model",
    "workers",
    "reading",
    "planning",
    "formats",
    "layers",
    "writing",
    "images",
    "sources",
    "serving",
    "deploy",
    "integrations",
    "cli",
)
"""Each room imports from itself and from those before it."""

DEPLOY_ROOMS = ("manifest", "source", "secrets", "building", "host", "attach")
"""Likewise those in ``deploy``. What lies beside them is for all, and imports none of them."""

SOURCE = Path(blockpack.__file__).parent
MOST_LATE_IMPORTS = 60


class Import(NamedTuple):
    """That `module` imports `target`; `late` if it does so inside a function."""

    module: str
    target: str
    late: bool
    line: int


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def _targets(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """The modules that a relative import names: a package only if something in it is meant."""
    is_package = MODULES[module].name == "__init__.py"
    package = module.split(".") if module else []
    above = package[: len(package) - (node.level - is_package)]
    base = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        inner = f"{base}.{alias.name}".lstrip(".")
        yield inner if inner in MODULES else base


def _imports(module: str) -> Iterator[Import]:
    tree = ast.parse(MODULES[module].read_text())
    late = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in typing_only:
            for target in _targets(module, node):
                yield Import(module, target, node in late, node.lineno)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for module in MODULES for found in _imports(module))


def _room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {_room(module) for module in MODULES} - {"", "__main__"}
    assert rooms == set(ROOMS)


def test_no_room_imports_a_later_one() -> None:
    order = {room: number for number, room in enumerate(ROOMS)}
    against = [
        f"{found.module}:{found.line} imports {found.target}"
        for found in imports()
        if _room(found.module) in order
        and order.get(_room(found.target), -1) > order[_room(found.module)]
    ]
    assert not against, "\n".join(against)


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_no_room_of_deployments_imports_a_later_one() -> None:
    order = {f"deploy.{room}": number for number, room in enumerate(DEPLOY_ROOMS)}
    assert {_part(module) for module in MODULES if module.startswith("deploy.")} >= set(order)
    against = [
        f"{found.module}:{found.line} imports {found.target}"
        for found in imports()
        if found.module.startswith("deploy.")
        and order.get(_part(found.target), -1) > order.get(_part(found.module), -1)
    ]
    assert not against, "\n".join(against)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in imports():
        if found.target != found.module:
            graph[found.module].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_few_imports_are_inside_functions() -> None:
    late = [f"{found.module}:{found.line} {found.target}" for found in imports() if found.late]
    assert len(late) <= MOST_LATE_IMPORTS, "\n".join(sorted(set(late)))
