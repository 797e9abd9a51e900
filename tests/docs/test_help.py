"""What `help` and `repr` show of public names is short."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pytest

import blockpack

VOLUME_CLASSES = (blockpack.TarVolume, blockpack.FatVolume, blockpack.GitVolume)


PUBLIC = [name for name in dir(blockpack) if name[0] != "_"]


def test_help_on_the_package_fits_two_screens() -> None:
    assert len(pydoc.render_doc(blockpack).splitlines()) < 60


@pytest.mark.parametrize("name", PUBLIC)
def test_help_begins_with_what_a_public_name_is(name: str) -> None:
    first = (inspect.getdoc(getattr(blockpack, name)) or "").split("\n\n")[0]
    assert 1 <= len(first.splitlines()) <= 4
    assert not first.startswith(f"{name}("), "what attrs says of a class without a text"


def test_values_are_shown_in_a_line(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a", b"x" * 100_000)
    for value in (tree, tree["a"], *(kind() for kind in VOLUME_CLASSES)):
        assert len(repr(value)) < 300, repr(value)
