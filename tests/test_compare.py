"""An image is compared with a plan, or with another image, and each difference is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import blockpack
from blockpack.images import compare as module
from blockpack.images.compare import compare
from faults.rendering import pattern, rendered

TAR = blockpack.TarVolume(mode="keep", owner="keep", mtime="keep")
FAT = blockpack.FatVolume(mtime="keep")
EROFS = blockpack.ErofsVolume(mode="keep", owner="keep", mtime="keep")


def tree(size: int = 300) -> blockpack.Tree:
    found = blockpack.Tree()
    found.add("a", b"first")
    found.add("d/b", pattern(size))
    found.add("d/large", pattern(600_000))
    found.add("z", b"")
    return found


def changed(change: Callable[[blockpack.Tree], object]) -> blockpack.Tree:
    found = tree()
    change(found)
    return found


def again(path: str, content: bytes, **facts: int) -> Callable[[blockpack.Tree], object]:
    def change(found: blockpack.Tree) -> None:
        found.remove(path)
        found.add(path, content, **facts)

    return change


CHANGES: dict[str, tuple[Callable[[blockpack.Tree], object], dict[str, str]]] = {
    "nothing": (lambda found: None, {}),
    "missing": (lambda found: found.add("new", b""), {"new": "is missing"}),
    "too much": (lambda found: found.remove("a"), {"a": "is in the image, and not"}),
    "bytes": (again("a", b"fiRst"), {"a": "differs from byte 2 on"}),
    "bytes of a large file": (
        again("d/large", pattern(599_999) + b"!"),
        {"d/large": "differs from byte 599,999 on"},
    ),
    "size": (again("a", b"first!"), {"a": "has 5 bytes, and should have 6"}),
    "time": (again("a", b"first", mtime_ns=10**18), {"a": "has another time"}),
}


LARGER: dict[str, blockpack.Volume] = {
    "tar": blockpack.TarVolume(mode="keep", owner="keep", mtime="keep", free=100_000),
    "fat": blockpack.FatVolume(mtime="keep", size=64 << 20),
    "erofs": evolve(EROFS, free=1 << 20),
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    "volume", [TAR, FAT, EROFS, *LARGER.values()], ids=["tar", "fat", "erofs", *LARGER]
)
@pytest.mark.parametrize("what", CHANGES)
def test_each_difference_is_named(volume: blockpack.Volume, what: str, jobs: int) -> None:
    change, expected = CHANGES[what]
    plan = {"tar": TAR, "fat": FAT, "erofs": EROFS}[volume.format].plan(changed(change))
    with blockpack.open_image(rendered(volume.plan(tree()))) as image:
        found = {each.path: each.what for each in compare(image, plan, jobs=jobs)}
    assert found.keys() == expected.keys()
    for path, said in expected.items():
        assert found[path].startswith(said)


def test_a_mode_and_an_owner_differ_where_the_format_has_them() -> None:
    other = blockpack.Tree()
    for entry in tree():
        if entry.path == "a":
            assert isinstance(entry, blockpack.File)
            entry = blockpack.File(
                *("a", entry.size, entry.store, entry.key, entry.stamp),
                *(0o755, entry.mtime_ns, 12, 34),
            )
        other.put(entry)
    with blockpack.open_image(TAR.plan(tree())) as image:
        found = [str(each) for each in compare(image, TAR.plan(other))]
    assert "a: the mode differs: it is 0644, and should be 0755" in found
    assert "a: the owner differs: it is 0:0, and should be 12:34" in found
    assert len(found) == 2
    with blockpack.open_image(FAT.plan(tree())) as image:
        assert compare(image, FAT.plan(other)) == []


def test_images_of_two_formats_are_compared_in_what_they_share() -> None:
    with (
        blockpack.open_image(TAR.plan(tree())) as one,
        blockpack.open_image(FAT.plan(tree())) as other,
    ):
        assert compare(one, other) == compare(other, one) == []
    with blockpack.open_image(FAT.plan(changed(again("a", b"FIRST")))) as other:
        assert [str(each) for each in compare(TAR.plan(tree()), other)] == [
            "a: differs from byte 0 on"
        ]


def test_layouts_are_compared_as_images_are() -> None:
    assert compare(TAR.plan(tree()), TAR.plan(tree())) == []
    assert (
        compare(TAR.plan(tree()), blockpack.TarVolume(mode="keep", free=10_000).plan(tree())) == []
    )
    assert len(compare(TAR.plan(tree()), TAR.plan(tree(301)))) == 1


def test_equal_bytes_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    image = rendered(TAR.plan(tree()))
    monkeypatch.setattr(module, "differences", pytest.fail)
    with blockpack.open_image(image) as opened:
        progress: list[blockpack.Progress] = []
        assert compare(opened, TAR.plan(tree()), progress=progress.append) == []
    assert progress[-1] == blockpack.Progress("comparing", len(image), len(image), finished=True)


PLANS = {volume.format: volume.plan(tree()) for volume in (TAR, FAT)}
IMAGES = {format: rendered(layout) for format, layout in PLANS.items()}


@settings(max_examples=50)
@given(data=st.data(), volume=st.sampled_from([TAR, FAT]))
def test_no_byte_of_a_file_changes_unnoticed(data: st.DataObject, volume: blockpack.Volume) -> None:
    layout = PLANS[volume.format]
    image = bytearray(IMAGES[volume.format])
    with blockpack.open_image(bytes(image)) as opened:
        entry = opened[data.draw(st.sampled_from(["a", "d/b", "d/large"]))]
    at = data.draw(st.integers(0, entry.size - 1))
    assert entry.offset is not None
    image[entry.offset + at] ^= data.draw(st.integers(1, 255))
    with blockpack.open_image(bytes(image)) as opened:
        found = [str(each) for each in compare(opened, layout)]
    assert found == [f"{entry.path}: differs from byte {at:,} on"]


def test_holes_of_an_image_are_zeros(tmp_path: Path) -> None:
    volume = blockpack.FatVolume(size=64 << 20)
    path = tmp_path / "x.img"
    blockpack.write(volume.plan(tree()), path)
    with blockpack.open_image(path) as image:
        assert module.has_the_bytes(image, volume.plan(tree()))
    with open(path, "r+b") as file:
        file.seek(60 << 20)
        file.write(b"!")
    with blockpack.open_image(path) as image:
        assert not module.has_the_bytes(image, volume.plan(tree()))
        assert compare(image, volume.plan(tree())) == []


def test_an_encrypted_image_is_compared_with_the_plain_plan() -> None:
    key = bytes(16)
    with blockpack.encrypt(TAR.plan(tree()), key).open() as file:
        image = file.read()
    with blockpack.open_image(image, key=key) as opened:
        assert compare(opened, TAR.plan(tree())) == []
        assert len(compare(opened, TAR.plan(changed(again("a", b"FIRST"))))) == 1


def test_a_source_that_changed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    layout = TAR.plan(blockpack.scan(tmp_path))
    image = rendered(layout)
    (tmp_path / "a").write_bytes(b"first, and more")
    with (
        blockpack.open_image(image) as opened,
        pytest.raises(blockpack.SourceError, match="grew from 5 to 15"),
    ):
        compare(opened, layout)
