"""Key files: nobody but their owner reads them, and nothing that they hold is ever shown."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import blockpack
from blockpack.layers.keys import make_key, read_key

KEY = bytes(range(100, 132))


@pytest.fixture(name="umask", params=[0o000, 0o022, 0o077, 0o777])
def fixture_umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def key_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_is_raw_or_hex(tmp_path: Path, size: int) -> None:
    key = KEY[:size]
    digits = key.hex().encode()
    for content in (key, digits, digits.upper(), digits + b"\n", b"  " + digits + b"\r\n\n"):
        assert read_key(key_file(tmp_path / "key", content)) == key


@pytest.mark.parametrize("content", [b"\n" * 32, b" " * 16, b"\0" * 24])
def test_raw_keys_may_be_any_bytes(tmp_path: Path, content: bytes) -> None:
    assert read_key(key_file(tmp_path / "key", content)) == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"k" * 15,
        b"k" * 33,
        KEY + b"\n",
        KEY.hex().encode()[1:],
        b"0x" + b"11" * 16,
        b"1" * 9999,
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(
        blockpack.UsageError, match="key: holds no key: a key is 16 or 24"
    ) as raised:
        read_key(key_file(tmp_path / "key", content))
    shown = "".join(traceback.format_exception(raised.value))
    assert not content or content.decode("latin-1") not in shown
    assert repr(content)[2:-1] not in shown or not content


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o610, 0o601, 0o644, 0o4777])
def test_a_key_that_others_may_touch_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "key", KEY, mode)
    with pytest.raises(blockpack.UsageError, match="others may read or write it") as raised:
        read_key(path)
    assert f"chmod 600 {path}" in str(raised.value)
    path.chmod(0o600)
    assert read_key(path) == KEY


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_key_of_its_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_key(key_file(tmp_path / "key", KEY, mode)) == KEY


def test_a_link_counts_by_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("key")
    key_file(tmp_path / "key", KEY)
    assert read_key(tmp_path / "link") == KEY
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(blockpack.UsageError, match="others may read"):
        read_key(tmp_path / "link")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)  # nobody writes to it
    (tmp_path / "directory").mkdir(mode=0o700)
    for path in (tmp_path / "pipe", tmp_path / "directory", Path("/dev/zero")):
        with pytest.raises(blockpack.UsageError, match="is not a regular file"):
            read_key(path)


def test_a_missing_key_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(blockpack.SourceError, match="key: cannot be read: no such file"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_fresh_key_is_random_and_read_back(tmp_path: Path, size: int) -> None:
    keys = {make_key(tmp_path / str(number), size) for number in range(5)}
    assert len(keys) == 5
    assert {len(key) for key in keys} == {size}
    assert {read_key(tmp_path / str(number)) for number in range(5)} == keys
    text = (tmp_path / "0").read_text("ascii")
    assert text.endswith("\n") and len(text) == 2 * size + 1


def test_a_fresh_key_is_its_owners_alone_from_the_first_byte(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    really_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return really_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    make_key(tmp_path / "key")
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten_nor_written_through_a_link(tmp_path: Path) -> None:
    key_file(tmp_path / "key", KEY)
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("key", "link"):
        with pytest.raises(blockpack.TargetError, match=f"{name}: is there already"):
            make_key(tmp_path / name)
    assert (tmp_path / "key").read_bytes() == KEY
    assert not (tmp_path / "elsewhere").exists()


def test_half_a_key_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(blockpack.TargetError, match="key: the key cannot be written: no space"):
        make_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_a_target_error(tmp_path: Path) -> None:
    with pytest.raises(blockpack.TargetError, match="no key can be made there: no such file"):
        make_key(tmp_path / "nowhere" / "key")
    with pytest.raises(blockpack.UsageError, match="not 20"):
        make_key(tmp_path / "key", 20)
    assert list(tmp_path.iterdir()) == []
