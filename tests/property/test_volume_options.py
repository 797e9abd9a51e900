"""Options of volumes: sizes are numbers or texts, and a wrong value is wrong usage, no crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import ErofsVolume, FatVolume, GitVolume, TarVolume, UsageError, Volume, deploy
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


SIZES = st.sampled_from(
    (-512, 0, 1, 512, 1000, "1K", 4096, 5000, 9999, 20480, "1440K", "1M", 1 << 70)
)


COMMON = dict.fromkeys(("size", "free", "pad", "sector_size"), SIZES) | {
    "profile": st.sampled_from(("any", "fatfs", "floppy", "linux-5.10", "uefi"))
}
OWN: dict[type[Volume], dict[str, st.SearchStrategy[Any]]] = {
    TarVolume: {},
    FatVolume: {"wear_levelling": st.just(True), "cluster_size": SIZES, "fats": SIZES},
    ErofsVolume: {"block_size": SIZES},
    GitVolume: {
        "container": st.sampled_from(("docteur", "bundle", "pack")),
        "object_format": st.sampled_from(("sha1", "sha256")),
        "oneffs": st.booleans(),
        "history": st.booleans(),
    },
}


@pytest.mark.parametrize("volume_class", OWN)
@given(data=st.data())
def test_what_is_advised_is_not_refused(volume_class: type[Volume], data: st.DataObject) -> None:
    """And no remedy ends in nothing."""
    options = data.draw(st.fixed_dictionaries({}, optional=COMMON | OWN[volume_class]))
    errors = refused(volume_class, options)
    assert not [error for error in errors if error.remedy.endswith(" ")]
    advised = dict(error.option.split("=") for error in errors if error.option)
    advised = {name: value for name, value in advised.items() if name not in ("format", "profile")}
    known = {name: int(v) if v.isdigit() else v for name, v in advised.items()}
    again = {error.option.partition("=")[0] for error in refused(volume_class, options | known)}
    assert not again & advised.keys()


def refused(volume_class: type[Volume], options: dict[str, Any]) -> tuple[Any, ...]:
    """What is wrong with options."""
    try:
        volume_class(**options)
    except UsageError as error:
        return error.errors
    return ()


@pytest.mark.parametrize(
    ("make", "rules"),
    [
        (lambda: FatVolume(size=-512, wear_levelling=True, profile="fatfs"), ["from 20480 on"]),
        (lambda: FatVolume(size="1K", wear_levelling=True), ["from 20480 on", "no frame"]),
        (lambda: ErofsVolume(sector_size=9999), ["the sector size is 512 or 4096"]),
        (
            lambda: FatVolume(profile="floppy", free="1M", sector_size=4096, cluster_size=1),
            ["reads media of", "reads sectors of 512 bytes"],
        ),
    ],
)
def test_all_that_is_wrong_is_told_and_no_more(make: Any, rules: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    for error, rule in zip(caught.value.errors, rules, strict=True):
        assert rule in error.rule


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
