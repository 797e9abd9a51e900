"""A place that is ours: whose it is, who may write to it, and what is opened in it."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockpack import TargetError
from blockpack.writing.lock import is_locked, locked
from blockpack.writing.place import Place
from blockpack.writing.replacement import replacing
from blockpack.writing.temporary_names import temporary_name
from users import ALICE, MALLORY, PLANTS, as_user, plant, public_directory

BUSY = TargetError("there", "is busy")


@pytest.fixture(name="public")
def fixture_public() -> Iterator[Path]:
    with public_directory(mode=0o1777) as place:
        yield place


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def directory(path: Path, owner: int, bits: int, group: int | None = None) -> Path:
    path.mkdir()
    os.chown(path, owner, owner if group is None else group)
    path.chmod(bits)
    return path


def refusal(path: Path, *, make: int | None = None, private: bool = False) -> str | None:
    """Why a directory is refused; None if it is not."""
    try:
        Place.own(str(path), make=make, private=private).close()
    except TargetError as error:
        return error.rule
    return None


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize(
    ("owner", "bits", "taken"),
    [
        ("self", 0o755, True),
        ("self", 0o700, True),
        ("self", 0o777, False),
        ("self", 0o1777, True),
        ("self", 0o775, True),  # its group is the user's own, as under a umask of 002
        ("root", 0o755, True),
        ("root", 0o1777, True),
        ("root", 0o777, False),
        ("mallory", 0o755, False),
        ("mallory", 0o777, False),
        ("mallory", 0o1777, False),
    ],
)
def test_a_place_of_ours_is_ours_or_roots_and_nobody_else_writes_to_it(
    public: Path, user: int, owner: str, bits: int, taken: bool
) -> None:
    whose = {"self": user, "root": 0, "mallory": MALLORY}[owner]
    place = directory(public / "place", whose, bits)
    found = as_user(user, lambda: refusal(place))
    assert (found is None) == taken, found
    expected = f"belongs to another user (uid {MALLORY})"
    if not taken and owner != "mallory":
        expected = f"others may write to it (mode {bits:04o})"
    assert taken or found == expected


def test_a_group_of_others_may_not_write_to_it(public: Path) -> None:
    place = directory(public / "place", ALICE, 0o775, MALLORY)
    assert as_user(ALICE, lambda: refusal(place)) == "others may write to it (mode 0775)"


@pytest.mark.parametrize("bits", [0o700, 0o711, 0o750, 0o755])
def test_what_is_private_nobody_else_may_enter(public: Path, bits: int) -> None:
    place = directory(public / "place", ALICE, bits)
    found = as_user(ALICE, lambda: refusal(place, private=True))
    assert found == (None if bits == 0o700 else f"others may enter it (mode {bits:04o})")


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o177, 0o777])
@pytest.mark.parametrize("make", [0o755, 0o700])
def test_what_is_made_is_made_with_its_mode(public: Path, umask: int, make: int) -> None:
    before = os.umask(umask)
    try:
        assert refusal(public / "a/b/c", make=make) is None
    finally:
        os.umask(before)
    for path in ("a", "a/b", "a/b/c"):
        assert mode(public / path) == make & ~umask | 0o700


def test_what_is_made_is_removed_while_nothing_is_in_it(public: Path) -> None:
    (public / "a").mkdir()
    for mine in (True, False):
        with Place.own(f"{public}/a/b/c/", make=0o755) as place:
            if mine:
                (public / "a/b/file").touch()
            place.forsake()
        assert (public / "a/b").exists() == mine and not (public / "a/b/c").exists()
        (public / "a/b/file").unlink(missing_ok=True)
        if mine:
            (public / "a/b").rmdir()
    assert (public / "a").exists()


def test_a_link_that_leads_nowhere_is_no_place(public: Path) -> None:
    (public / "link").symlink_to("nothing")
    with pytest.raises(FileNotFoundError):
        Place.own(str(public / "link/below"), make=0o755)
    assert not (public / "nothing").exists()


# Files -------------------------------------------------------------------------------------------

OPENINGS = {
    "read": os.O_RDONLY,
    "append": os.O_RDWR | os.O_APPEND | os.O_CREAT,
    "lock": os.O_RDWR | os.O_CREAT,
}


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("kind", PLANTS)
def test_what_another_user_planted_is_not_opened(
    public: Path, user: int, opening: str, kind: str
) -> None:
    """In a sticky directory, where anybody may; it stays as it was, and nothing waits for it."""
    target = public / "target"

    def planting() -> None:
        target.write_bytes(b"before")
        target.chmod(0o666)
        plant(kind, public / "name", target)

    as_user(MALLORY, planting)
    before = (public / "name").lstat()
    begun = time.monotonic()

    def opened() -> str:
        with Place.own(str(public)) as place:
            try:
                os.close(place.open_file("name", OPENINGS[opening]))
            except (TargetError, OSError) as error:
                return str(error)
        return ""

    assert as_user(user, opened)
    assert time.monotonic() - begun < 30
    after = (public / "name").lstat()
    for what in ("st_mode", "st_uid", "st_size", "st_mtime_ns", "st_ino"):
        assert getattr(after, what) == getattr(before, what)
    assert target.read_bytes() == b"before"
    assert not (public / "nothing").exists()


def test_a_file_of_ours_under_another_name_is_not_written_to(public: Path) -> None:
    (public / "precious").write_bytes(b"before")
    (public / "name").hardlink_to(public / "precious")
    with Place.own(str(public)) as place:
        with pytest.raises(TargetError, match="has another name"):
            place.open_file("name", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        assert place.read("name") == b"before"


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_is_opened_is_made_with_its_mode_and_then_found(public: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with Place.own(str(public)) as place:
            for line in (b"one\n", b"two\n"):
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                descriptor = place.open_file("log", flags, 0o644)
                os.write(descriptor, line)
                os.close(descriptor)
            assert place.read("log") == b"one\ntwo\n"
            assert place.read("log", 3) == b"one"
    finally:
        os.umask(before)
    assert mode(public / "log") == 0o644 & ~umask


@pytest.mark.parametrize("file", [None, ".lock"])
def test_a_lock_is_held_by_one_and_nobody_elses_counts(public: Path, file: str | None) -> None:
    with Place.own(str(public)) as place:
        assert not is_locked(place, file)
        with locked(place, BUSY, file):
            assert is_locked(place, file)
            with pytest.raises(TargetError, match="is busy"), locked(place, BUSY, file):
                pass
        assert not is_locked(place, file)
        with locked(place, BUSY, file):
            pass
    if file is None:
        return
    assert mode(public / file) == 0o600

    def hold() -> str:
        try:
            fcntl.flock(os.open(public / ".lock", os.O_RDONLY), fcntl.LOCK_SH)
        except OSError as error:
            return str(error)
        return ""

    assert "Permission denied" in as_user(MALLORY, hold)


# Replacing and wiping ----------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
@pytest.mark.parametrize("kind", PLANTS)
def test_a_file_of_our_own_takes_the_place_of_anything(public: Path, kind: str, umask: int) -> None:
    home = directory(public / "home", 0, 0o755)
    (public / "target").write_bytes(b"before")
    plant(kind, home / "name", public / "target")
    os.chown(home / "name", MALLORY, MALLORY, follow_symlinks=False)
    before = os.umask(umask)
    try:
        with Place.own(str(home)) as place:
            if kind == "directory":
                with (
                    pytest.raises(IsADirectoryError),
                    replacing(place, "name", flush=True, mode=0o644),
                ):
                    pass
                return
            with replacing(place, "name", flush=True, mode=0o644) as new:
                assert stat.S_IMODE(os.fstat(new).st_mode) == 0o600
                os.write(new, b"new")
    finally:
        os.umask(before)
    status = (home / "name").lstat()
    assert (status.st_uid, status.st_mode) == (0, stat.S_IFREG | 0o644 & ~umask)
    assert (public / "target").read_bytes() == b"before"
    assert [path.name for path in home.iterdir()] == ["name"]


@pytest.mark.parametrize("user", [0, ALICE])
@pytest.mark.parametrize("bits", [0o600, 0o400])
def test_what_is_wiped_is_overwritten(public: Path, user: int, bits: int) -> None:
    home = directory(public / "home", user, 0o755)

    def wiping() -> None:
        (home / "name").write_bytes(b"secret")
        (home / "name").chmod(bits)
        with Place.own(str(home)) as place, open(home / "name", "rb") as old:
            assert place.wipe("name")
            assert old.read() == bytes(6)
        assert not (home / "name").exists()

    as_user(user, wiping)


@pytest.mark.parametrize("kind", ["link", "hard link", "FIFO"])
def test_what_leads_elsewhere_is_removed_and_not_wiped(public: Path, kind: str) -> None:
    (public / "target").write_bytes(b"before")
    home = directory(public / "home", 0, 0o755)
    for name in ("name", "tree/deep/name"):
        plant(kind, home / name, public / "target")
    with Place.own(str(home)) as place:
        assert not place.wipe("name")
        place.remove(["tree"], wipe=True)
    assert list(home.iterdir()) == []
    assert (public / "target").read_bytes() == b"before"


def test_all_of_a_tree_is_wiped_however_deep_it_is(public: Path) -> None:
    home = directory(public / "home", 0, 0o755)
    path = home
    for _ in range(100):
        path /= "d"
        path.mkdir()
        (path / "file").write_bytes(b"secret")
    with open(path / "file", "rb") as old, Place.own(str(home)) as place:
        place.remove(["d"], wipe=True)
        assert old.read() == bytes(6)
    assert list(home.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_what_is_secret_is_wiped(public: Path) -> None:
    left, secret = temporary_name(), temporary_name(secret=True)
    for name in (left, secret):
        (public / name).mkdir()
        (public / name / "image").write_bytes(b"secret")
    theirs = temporary_name(secret=True)
    as_user(MALLORY, lambda: (public / theirs).symlink_to(public / secret))
    (public / ".blockpack-notes.tmp").touch()
    with (
        open(public / left / "image", "rb") as plain,
        open(public / secret / "image", "rb") as overwritten,
        Place.own(str(public)) as place,
    ):
        assert sorted(place.leftovers()) == sorted([left, secret])
        place.tidy()
        assert plain.read() == b"secret" and overwritten.read() == bytes(6)
        assert sorted(place.names()) == sorted([theirs, ".blockpack-notes.tmp"])
