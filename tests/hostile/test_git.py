"""Hostile and damaged git images: a clear error in bounded time and memory, nothing outside."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fuzz.fuzz_readers import survive
from hostile.git_images import (
    CONTAINERS,
    DIRECTORY,
    EMPTY_TREE,
    EXECUTABLE,
    FILE,
    LINK,
    TEXT,
    Pack,
    below,
    bundle,
    in_docteur,
    of,
    oneffs,
    rewritten,
    sound,
)
from hostile.ordeal import undergo

Capture = pytest.CaptureFixture[str]


def linked(target: bytes) -> bytes:
    """An image of a link."""
    pack = Pack()
    return in_docteur(pack, pack.commit(pack.tree((LINK, b"link", pack.blob(target)))))


ESCAPES: dict[str, tuple[bytes, str]] = {
    "a parent": (of((FILE, b"..", TEXT)), "..: has an entry with an invalid name"),
    "a parent that is a directory": (
        of((DIRECTORY, b"..", EMPTY_TREE)),
        "..: has an entry with an invalid name",
    ),
    "a parent further down": (
        below((FILE, b"..", TEXT)),
        "dir/..: has an entry with an invalid name",
    ),
    "a way to the parent": (of((FILE, b"../escaped", TEXT)), "has a slash in the name"),
    "a way down": (of((FILE, b"a/b", TEXT)), "a/b: has a slash in the name"),
    "an absolute path": (of((FILE, b"/tmp/escaped", TEXT)), "has a slash in the name"),
    "a slash": (of((DIRECTORY, b"/", EMPTY_TREE)), "has a slash in the name"),
    "a dot": (of((FILE, b".", TEXT)), ".: has an entry with an invalid name"),
    "no name": (of((FILE, b"", TEXT)), "has an entry without a name"),
    "a repository": (of((DIRECTORY, b".git", EMPTY_TREE)), ".git: has the name of a git directory"),
    "a repository in capitals": (of((FILE, b".GIT", TEXT)), "has the name of a git directory"),
    "a repository by its short name": (below((FILE, b"git~1", TEXT)), "of a git directory"),
    "a repository as HFS+ sees it": (
        of((FILE, ".g\u200cit".encode(), TEXT)),
        "has the name of a git directory",
    ),
    "a repository as NTFS sees it": (of((FILE, b".git::$INDEX_ALLOCATION", TEXT)), "git directory"),
    "a repository behind a backslash": (of((FILE, b"a\\.git", TEXT)), "git directory"),
    "a symlink in place of a directory": (
        of((LINK, b"way", TEXT), (DIRECTORY, b"way", EMPTY_TREE)),
        "way: is there 2 times",
    ),
    "a file twice": (
        below((FILE, b"file", TEXT), (FILE, b"file", TEXT)),
        "dir/file: is there 2 times",
    ),
    "a file that is executable too": (
        of((FILE, b"file", TEXT), (EXECUTABLE, b"file", TEXT)),
        "file: is there 2 times",
    ),
    "a symlink to nothing": (linked(b""), "link: links to ''"),
    "a symlink with a NUL": (linked(b"a\0b"), "link: links to 'a\\x00b'"),
    "a symlink to a path without end": (
        linked(b"a/" * 100_000),
        "links to a path of more than 4,096",
    ),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_leads_outside(name: str, tmp_path: Path, capsys: Capture) -> None:
    data, expected = ESCAPES[name]
    verdict = undergo(data, tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert not verdict.extracted
    assert verdict.codes["extract"] == 6
    assert expected in verdict.messages


def test_every_bad_name_is_named_at_once(tmp_path: Path, capsys: Capture) -> None:
    names = [b"../%02d" % number for number in range(20)]
    verdict = undergo(of(*((FILE, name, TEXT) for name in names)), tmp_path, capsys)
    assert len(verdict.problems) == 20


def test_symlinks_may_lead_anywhere_and_nothing_is_written_through_them(
    tmp_path: Path, capsys: Capture
) -> None:
    pack = Pack()
    entries = [
        (LINK, name, pack.blob(target))
        for name, target in ((b"a", b"../../bait"), (b"b", b"/etc"), (b"c", b"t" * 4000))
    ]
    data = in_docteur(pack, pack.commit(pack.tree(*entries)))
    assert undergo(data, tmp_path, capsys).extracted
    assert (tmp_path / "sandbox/below/out/a").readlink() == Path("../../bait")
    assert (tmp_path / "sandbox/bait").read_bytes() == b"bait"


def test_submodules_and_unknown_modes_are_shown_and_not_extracted(
    tmp_path: Path, capsys: Capture
) -> None:
    data = of((b"60000", b"disk", TEXT), (b"160000", b"module", bytes(20)), (b"0", b"x", TEXT))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.messages.count("is a device or a pipe") == 3
    assert verdict.codes == {"verify": 0, "ls": 0, "info": 0, "cat": 6, "extract": 6}


@pytest.mark.parametrize(
    "name", [b"bell\x07", b"\x1b[2J", b"line\nline", b"\xff\xfe", b"\x9b31m", "\u202egpj".encode()]
)
def test_names_that_would_harm_a_terminal_are_escaped(
    name: bytes, tmp_path: Path, capsys: Capture
) -> None:
    pack = Pack()
    link = (LINK, b"link", pack.blob(name))
    data = in_docteur(pack, pack.commit(pack.tree((FILE, name, pack.blob(b"x")), link)))
    assert undergo(data, tmp_path, capsys).codes["ls"] == 0
    shown = of((FILE, b"../" + name, TEXT), (DIRECTORY, name, TEXT))
    (tmp_path / "again").mkdir()
    undergo(shown, tmp_path / "again", capsys)


PACK, HEAD = sound()


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_sound_image_passes_the_ordeal(container: str, tmp_path: Path, capsys: Capture) -> None:
    verdict = undergo(CONTAINERS[container](PACK, HEAD), tmp_path, capsys, gain=100)
    assert verdict.problems == []
    assert verdict.extracted
    out = tmp_path / "sandbox/below/out"
    assert (out / "far").read_bytes().endswith(b"text\nlchangedagain")
    assert (out / "link").readlink() == Path("dir/text")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_an_image_cut_short_anywhere_is_an_error(
    container: str, share: float, tmp_path: Path, capsys: Capture
) -> None:
    data = CONTAINERS[container](PACK, HEAD)
    whole = data.rstrip(b"\0")
    verdict = undergo(whole[: int(len(whole) * share)], tmp_path, capsys, gain=100)
    assert verdict.problems
    assert not verdict.extracted
    assert verdict.codes["extract"] == 6


def test_a_header_with_a_byte_that_changed_is_an_error(tmp_path: Path) -> None:
    """The headers of docteur and OneFFS, the pack's, and the first bytes of its index."""
    image = in_docteur(PACK, HEAD)
    at_index = struct.unpack("<Q", image[20:28])[0]
    wrapped = oneffs(PACK.data())
    cases = [(image, at) for at in (*range(40), *range(at_index, at_index + 12))]
    cases += [(wrapped, at) for at in (*range(18), *range(512, 524))]
    for data, at in cases:
        for bit in (at % 8, (at + 5) % 8):
            damaged = rewritten(at, bytes([data[at] ^ 1 << bit]), data)
            assert survive(damaged), (at, bit)


def test_every_bit_of_a_small_pack_is_checked() -> None:
    pack = Pack()
    commit = pack.commit(pack.tree((FILE, b"file", pack.blob(b"content"))))
    data = pack.data()
    for at in range(len(data)):
        damaged = rewritten(at, bytes([data[at] ^ 1 << at % 8]), data)
        assert survive(bundle(commit, damaged)), at
