"""A map says of each byte what it is for: no byte is left out, and a file's are under its name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.images.space_map import KINDS, PAYLOAD, SpaceMap, Stretch, bounded, stretches
from blockpack.images.space_page import page
from property import strategies

VOLUMES: tuple[blockpack.Volume, ...] = (
    blockpack.TarVolume(free=100_000),
    blockpack.FatVolume(free=100_000),
    blockpack.ErofsVolume(free=100_000),
    blockpack.GitVolume(),
    blockpack.GitVolume(container="bundle", compression=0),
)

_CONTENTS = st.lists(
    st.tuples(st.integers(0, 20_000), st.booleans()).map(
        lambda each: (b"%d" % each[0] * each[0])[: each[0]] if each[1] else os.urandom(each[0])
    ),
    max_size=8,
)


def covered(found: list[Stretch], size: int) -> None:
    """Assert that they are end to end, and of known kinds."""
    at = 0
    for each in found:
        assert each.offset == at and each.length > 0
        assert sum(each.by_kind.values()) == each.length
        assert set(each.by_kind) <= set(KINDS)
        at += each.length
    assert at == size


def by_name(found: list[Stretch]) -> Counter[str]:
    lengths: Counter[str] = Counter()
    for each in found:
        if each.kind in PAYLOAD:
            lengths[each.name] += each.length
    return lengths


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.format)
@given(contents=_CONTENTS)
def test_every_byte_is_in_one_stretch_and_files_are_in_theirs(
    volume: blockpack.Volume, contents: list[bytes]
) -> None:
    tree = blockpack.Tree()
    for number, content in enumerate(contents):
        tree.add(f"d/{number}", content)
    layout = volume.plan(tree)
    data = layout.open().read()
    with blockpack.open_image(data) as image:
        told = [list(stretches(layout)), list(stretches(image))]
        for found in told:
            covered(found, layout.size)
            for each in found:
                piece = data[each.offset : each.offset + each.length]
                if each.kind in ("free", "padding", "hole"):
                    assert not any(piece)
                elif each.name and volume.format != "git":
                    at, start = 0, each.offset
                    for begin, length in image[each.name].extents:  # those of an EROFS' tail, too
                        if begin is not None and begin <= each.offset < begin + length:
                            start = at + each.offset - begin
                        at += length
                    assert piece == image.read(each.name)[start : start + each.length]
        assert by_name(told[0]) == by_name(told[1])
        if volume.format != "git":
            sizes = {entry.path: entry.size for entry in image if entry.size}
            assert by_name(told[1]) == sizes


@given(
    lengths=st.lists(
        st.tuples(st.integers(1, 1 << 40) | st.integers(1, 9), st.sampled_from(list(KINDS))),
        min_size=1,
    ),
    most=st.integers(3, 20),
)
def test_a_map_is_bounded_and_loses_no_byte_of_any_kind(
    lengths: list[tuple[int, str]], most: int
) -> None:
    found, at = [], 0
    totals: Counter[str] = Counter()
    for number, (length, kind) in enumerate(lengths):
        found.append(Stretch(at, length, kind, f"{number}"))
        totals[kind] += length
        at += length
    kept = list(bounded(found, at, most))
    covered(kept, at)
    assert len(kept) <= most
    assert sum((Counter(each.by_kind) for each in kept), Counter()) == totals
    assert sum(each.number for each in kept) == len(found)
    if len(found) > most:
        longest = max(found, key=lambda each: each.length)
        if longest.length > 2 * at // (most - 1):
            assert longest in kept, "the largest keep their names"


def test_holes_are_told_of_sources_and_of_images(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    with (site / "disk").open("wb") as disk:
        disk.write(b"x" * 65536)
        disk.truncate(1 << 20)
    if os.stat(site / "disk").st_blocks * 512 >= 1 << 20:
        pytest.skip("the file system has no holes")
    layout = blockpack.FatVolume().plan(blockpack.scan(site))
    blockpack.write(layout, tmp_path / "image")
    with blockpack.open_image(tmp_path / "image") as image:
        for what in (layout, image):
            lengths = Counter({each.kind: each.length for each in stretches(what) if each.name})
            assert lengths["hole"] == (1 << 20) - 65536


def test_what_can_be_cloned_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(100_000))
    (tmp_path / "small").write_bytes(os.urandom(100))
    found = stretches(blockpack.TarVolume().plan(blockpack.scan(tmp_path)))
    assert {each.name: each.kind for each in found if each.name} == {
        "large": "clone",
        "small": "file",
    }


@given(one=st.binary(max_size=4000), other=st.binary(max_size=4000))
def test_differences_are_the_sectors_that_differ(one: bytes, other: bytes) -> None:
    from blockpack.reading.positional import BytesReader

    found = SpaceMap.of_differences(BytesReader(one), BytesReader(other))
    covered(list(found.stretches), max(len(one), len(other)))
    for each in found.stretches:
        for at in range(each.offset, each.offset + each.length, 512):
            assert (one[at : at + 512] == other[at : at + 512]) == (each.kind == "same")


@given(spec=strategies.specs(strategies.unix_names))
def test_cells_show_what_is_there(spec: strategies.Spec) -> None:
    layout = blockpack.TarVolume().plan(strategies.tree_of(spec))
    space = SpaceMap.of(layout, "x")
    cells = space.cells(512)
    assert len(cells) == -(-layout.size // 512)
    for each in space.stretches:
        for at in range(-(-each.offset // 512), (each.offset + each.length) // 512):
            assert cells[at] == each.kind


class Parser(HTMLParser):
    """Notes what a page holds and refers to."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [f"{n}={v}" for n, v in attrs if n in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Parser:
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert not parser.open and not parser.references
    for outside in ("http", "url(", "@import", "//cdn", "import(", "fetch("):
        assert outside not in text
    assert text.isascii()
    return parser


HOSTILE = "</script><script>alert(1)</script><!--&@DATA@.\udcff\u202e.html"


@pytest.mark.parametrize("volume", VOLUMES[:3], ids=lambda volume: volume.format)
def test_a_page_is_whole_by_itself_whatever_names_say(volume: blockpack.Volume) -> None:
    name = HOSTILE if volume.format != "fat" else "a & b.html"
    tree = blockpack.Tree()
    tree.add(name.replace("/", "-"), b"x" * 5000)
    text = page([SpaceMap.of(volume.plan(tree), HOSTILE)])
    parser = parsed(text)
    assert "<script>alert" not in text and "alert(1)" in parser.text + text
    assert "5,000" in parser.text or volume.format == "git"


def test_a_page_of_many_files_is_bounded() -> None:
    def many() -> Iterator[Stretch]:
        for number in range(200_000):
            yield Stretch(number * 1000, 1000, "file", f"{'directory/' * 10}{number}")

    kept = tuple(bounded(many(), 200_000_000))
    space = SpaceMap("x", "fat", 200_000_000, {"file": 200_000_000}, kept)
    text = page([space])
    parsed(text)
    assert len(text) < 6 << 20
