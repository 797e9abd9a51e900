"""Options of volumes: sizes are numbers or texts, and a wrong value is wrong usage, no crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import FatVolume, GitVolume, TarVolume, UsageError, Volume, deploy
from blockpack.planning.options import taken_by

VOLUMES = (TarVolume, FatVolume, GitVolume)
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "KiB": 1 << 10, "mb": 1 << 20}

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.binary(max_size=9),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.text(max_size=3), st.integers()),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=1),
    st.builds(object),
)


@given(number=st.integers(1, 999), unit=st.sampled_from(sorted(UNITS)), data=st.data())
def test_a_size_as_text_is_that_in_bytes(number: int, unit: str, data: st.DataObject) -> None:
    volume_class = data.draw(st.sampled_from((TarVolume, FatVolume)))
    option = data.draw(st.sampled_from(("size", "free", "pad")))
    size = number * UNITS[unit] * 4096
    text: Any = {option: f"{number * 4096}{unit}"}
    exact: Any = {option: size}
    assert volume_class(**text) == volume_class(**exact)


def test_every_option_in_bytes_takes_a_text() -> None:
    assert FatVolume(sector_size="4K", cluster_size="64K").cluster_size == 64 << 10
    assert TarVolume(align="16K").align == 16 << 10


@pytest.mark.parametrize("volume_class", VOLUMES)
@given(value=junk, data=st.data())
def test_a_wrong_value_is_wrong_usage(
    volume_class: type[Volume], value: object, data: st.DataObject
) -> None:
    names = [option.name for option in taken_by(volume_class)]
    given_options: Any = {data.draw(st.sampled_from([*names, "epoch"])): value}
    try:
        volume_class(**given_options)
    except UsageError as error:
        assert error.rule


def test_a_tree_takes_the_bytes_that_a_text_asks_for() -> None:
    tree = blockpack.Tree()
    tree.add("a", b"x")
    assert TarVolume(size="1M").plan(tree).size == 1 << 20
    assert TarVolume(free="1M").plan(tree).size > 1 << 20


@pytest.mark.parametrize("size", ["1K", 1024])
def test_a_limit_of_deployments_is_a_text_or_bytes(size: int | str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a").write_bytes(b"a")
    (tmp_path / "blockpack.toml").write_text(
        '[deployment]\nname = "www"\n[volumes.site]\nsource = "site"\nformat = "tar"\n'
    )
    with pytest.raises(blockpack.Problems) as raised:
        deploy.check(tmp_path, max_size=size)
    assert "more than the limit of 1,024 bytes" in str(raised.value)
    (checked,) = deploy.check(tmp_path, max_size="1M")
    assert checked.size is not None
