"""Nothing that only some systems have is taken for granted."""

from __future__ import annotations

import subprocess
import sys

from git_source.trees import SITE
from repositories import GitRepository

BARE_SYSTEM = """
import os, select, sys
for name in ("resource", "fcntl"):
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "memfd_create", "sched_getaffinity"):
    del os.__dict__[name]
del select.poll
"""
"""What a system lacks that is no Linux."""

IMPORT_ALL = """
import importlib, pkgutil, blockpack
from blockpack.formats import git as images
from blockpack.sources import git as sources
for package in (images, sources):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
"""

PACK = """
import blockpack
tree = blockpack.scan("git:" + sys.argv[1], jobs="auto")
for volume in (blockpack.TarVolume(), blockpack.GitVolume()):
    with volume.plan(tree, jobs="auto").open() as file:
        print(len(file.read()))
"""


def ran(*parts: str, argument: str = "") -> str:
    command = [sys.executable, "-c", "".join(parts), argument]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_module_is_imported_where_there_is_no_fork_and_no_fcntl() -> None:
    assert ran(BARE_SYSTEM, IMPORT_ALL) == ""


def test_a_repository_is_packed_there_as_it_is_anywhere(bare: GitRepository) -> None:
    bare.commit(SITE)
    path = str(bare.path)
    assert ran(BARE_SYSTEM, PACK, argument=path) == ran("import sys", PACK, argument=path)
