"""``blockpack secrets``: those who keep secrets make, edit and rekey them."""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyrage
import pytest

from blockpack.deploy.secrets import editing as editing_module
from blockpack.deploy.secrets import files
from blockpack.deploy.secrets.ramfs import is_ram
from blockpack.writing.place import Place
from deploy.deployments import manifest as manifest_of
from deploy.deployments import write_files
from deploy.secret_deployments import (
    IN_CIPHER,
    NAME,
    SECRET,
    found_in,
    identity,
    leaks,
    manifest,
    run,
    sealed,
)

OPEN = '[volumes.keys]\nsource = "vault"\nformat = "tar"\n'

FILE = f"vault/{NAME}.age"


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path) -> Path:
    """A deployment with one secret."""
    recipient = identity(tmp_path / "identity")
    files = {"blockpack.toml": manifest(recipient, IN_CIPHER), FILE: sealed(SECRET, recipient)}
    return write_files(tmp_path / "d", files)


@pytest.fixture(name="own")
def fixture_own(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def opened(path: Path, own: Path) -> bytes:
    """What is in an encrypted file, by the library itself."""
    line = own.read_text().splitlines()[-1]
    return bytes(pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(line)]))


def editing(script: str) -> dict[str, str]:
    """An environment with an editor that does so to the file in ``path``."""
    program = f"import os, sys\npath = sys.argv[1]\n{script}"
    return {"EDITOR": shlex.join([sys.executable, "-c", program])}


@pytest.fixture(name="ram", autouse=True)
def fixture_ram(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where files are edited: a directory in RAM, with nothing else in it."""
    with TemporaryDirectory(dir="/dev/shm") as ram:
        monkeypatch.setenv("XDG_RUNTIME_DIR", ram)
        yield Path(ram)


def test_a_file_is_encrypted_for_the_recipients(place: Path, own: Path) -> None:
    (place / "vault/token").write_bytes(b"12345")
    done = run("secrets", "encrypt", place / "vault/token")
    assert done.returncode == 0, done.stderr
    assert opened(place / "vault/token.age", own) == b"12345"
    assert b"still there in plain" in done.stderr
    assert (place / "vault/token").exists()
    again = run("secrets", "encrypt", place / "vault/token")
    assert again.returncode == 5 and b"give --force" in again.stderr
    done = run("secrets", "encrypt", "--force", "--remove", place / "vault/token")
    assert done.returncode == 0 and not (place / "vault/token").exists()


def test_no_link_is_removed_in_the_place_of_what_it_leads_to(place: Path) -> None:
    (place / "plain").write_bytes(b"12345")
    (place / "vault/token").symlink_to("../plain")
    done = run("secrets", "encrypt", "--remove", place / "vault/token")
    assert done.returncode == 2
    assert b"is a link" in done.stderr and os.fsencode(place / "plain") in done.stderr
    assert (place / "vault/token").is_symlink()
    assert not (place / "vault/token.age").exists()
    assert run("secrets", "encrypt", place / "vault/token").returncode == 0


def test_standard_input_that_is_closed_is_told(place: Path) -> None:
    words = [sys.executable, "-m", "blockpack", "secrets", "encrypt", "-"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *words, "-o", str(place / "vault/piped.age")]
    done = subprocess.run(closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert b"\nblockpack: standard input is closed" in done.stderr


def test_standard_input_is_encrypted(place: Path, own: Path) -> None:
    words = [sys.executable, "-m", "blockpack", "secrets", "encrypt", "-"]
    done = subprocess.run(
        [*words, "-o", place / "vault/piped.age"], input=b"from a pipe", check=True
    )
    assert done.returncode == 0
    assert opened(place / "vault/piped.age", own) == b"from a pipe"
    assert run("secrets", "encrypt", "-").returncode == 2
    assert run("secrets", "encrypt", "-", "-o", place / "vault/x").returncode == 2


def test_an_edited_file_is_encrypted_again(place: Path, own: Path, ram: Path) -> None:
    script = (
        "import os, stat\n"
        "assert stat.S_IMODE(os.stat(path).st_mode) == 0o600\n"
        "assert os.path.basename(path) == '" + NAME + "'\n"
        "open(path, 'ab').write(b'edited')"
    )
    done = run(*("secrets", "edit", place / FILE, "--identity", own), env=editing(script), umask=0)
    assert done.returncode == 0, done.stderr
    assert opened(place / FILE, own) == SECRET + b"edited"
    assert list(ram.iterdir()) == []
    before = (place / FILE).read_bytes()
    done = run("secrets", "edit", place / FILE, "--identity", own, env=editing(""))
    assert b"unchanged" in done.stderr and (place / FILE).read_bytes() == before


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    place: Path, own: Path, ram: Path
) -> None:
    """Nor is what was edited lost."""
    path = place / FILE
    theirs = path.read_bytes()[:-1]
    script = f"open({str(path)!r}, 'wb').write({theirs!r}); open(path, 'ab').write(b'edited')"
    done = run("secrets", "edit", path, "--identity", own, env=editing(script))
    assert done.returncode == 5
    assert b"was changed by somebody else meanwhile" in done.stderr
    assert path.read_bytes() == theirs
    (kept,) = ram.rglob("*.age")
    assert os.fsencode(f"what was edited is in {kept}") in done.stderr
    assert opened(kept, own) == SECRET + b"edited"


def test_standard_input_is_no_larger_than_a_secret_may_be(place: Path) -> None:
    target = place / "vault/large.age"
    with open("/dev/zero", "rb") as endless:
        done = run("secrets", "encrypt", "-", "-o", target, stdin=endless)
    assert done.returncode == 2
    assert b"more than the 256 MiB" in done.stderr
    assert not target.exists()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("sys.exit(3)", 2),
        ("os.unlink(path)", 4),
        ("os.kill(os.getppid(), 15)", 143),
    ],
)
def test_an_editor_that_fails_changes_nothing(
    place: Path, own: Path, ram: Path, script: str, code: int
) -> None:
    before = (place / FILE).read_bytes()
    done = run("secrets", "edit", place / FILE, "--identity", own, env=editing(script))
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert (place / FILE).read_bytes() == before
    assert list(ram.iterdir()) == []


# What is left of edits that were killed ----------------------------------------------------------

KILLED = "os.kill(os.getppid(), 9)"
"""Has the command that runs this editor end as it may at any time."""


@pytest.fixture(name="left")
def fixture_left(place: Path, own: Path, ram: Path) -> Path:
    """A directory in RAM that an edit left which was killed, and whose editor has ended."""
    env = editing(f"open(path + '~', 'wb').write(b'a backup')\n{KILLED}")
    done = run("secrets", "edit", place / FILE, "--identity", own, env=env)
    assert done.returncode == -9
    (directory,) = ram.iterdir()
    until_nobody_has(directory)
    assert (directory / NAME).read_bytes() == SECRET
    return directory


def until_nobody_has(directory: Path) -> None:
    """Wait until the editor that was left without its command has ended."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("command", ["edit", "rekey", "encrypt"])
def test_the_next_command_wipes_what_a_killed_edit_left(
    place: Path, own: Path, left: Path, ram: Path, command: str
) -> None:
    (place / "new").write_bytes(b"new")
    words = {
        "edit": (place / FILE, "--identity", own),
        "rekey": ("--identity", own, "--deployment", place),
        "encrypt": (place / "new",),
    }
    with open(left / NAME, "rb") as file:
        done = run("secrets", command, *words[command], env=editing(""))
        assert file.read() == bytes(len(SECRET))
    assert done.returncode == 0, done.stderr
    assert list(ram.iterdir()) == []


def test_what_is_being_edited_is_left_alone(place: Path, own: Path, ram: Path) -> None:
    """The editor calls the command itself; the second time when its own one was killed."""
    (place / "new").write_bytes(b"new")
    again = [sys.executable, "-m", "blockpack", "secrets", "encrypt", "--force", str(place / "new")]
    script = (
        "import subprocess\n"
        f"subprocess.run({again!r}, check=True, stderr=-3)\n"
        "assert os.path.exists(path)\n"
    )
    done = run("secrets", "edit", place / FILE, "--identity", own, env=editing(script))
    assert done.returncode == 0, done.stderr
    told = f"open({str(place / 'told')!r}, 'w').write(str(os.path.exists(path)))\n"
    run(
        *("secrets", "edit", place / FILE, "--identity", own),
        env=editing(f"{KILLED}\n{script}{told}"),
    )
    (directory,) = ram.iterdir()
    until_nobody_has(directory)
    assert (place / "told").read_text() == "True"
    editing_module.wipe_left()
    assert list(ram.iterdir()) == []


def test_nothing_else_is_wiped(left: Path, ram: Path, tmp_path: Path) -> None:
    """Neither what may be somebody else's, nor what is behind a link."""
    outside = write_files(tmp_path / "outside", {"file": b"mine", "below/file": b"mine"})
    (left / "link").symlink_to(outside / "file")
    (left / "below").mkdir()
    (left / "below/link").symlink_to(outside)
    name = left.name
    others = [name[:-1], f"{name}0", name[:-1] + "g", f"x{name}", f"{name[:-16]}{'0' * 16}"]
    for other in others:
        write_files(ram / other, {"file": b"theirs"}).chmod(0o700)
    open_to_all = ram / others[-1]  # of our name, but not as we make them
    open_to_all.chmod(0o755)
    to_outside = ram / f"{name[:-16]}{'1' * 16}"
    outside.chmod(0o700)
    to_outside.symlink_to(outside)
    plain = ram / f"{name[:-16]}{'2' * 16}"
    plain.write_bytes(b"theirs")
    editing_module.wipe_left()
    assert not left.exists()
    assert all((ram / other / "file").read_bytes() == b"theirs" for other in others)
    assert to_outside.is_symlink() and plain.read_bytes() == b"theirs"
    assert {path.read_bytes() for path in outside.rglob("file")} == {b"mine"}


def test_what_another_user_left_is_not_touched(left: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give a directory away")
    os.chown(left, 12345, -1)
    editing_module.wipe_left()
    assert (left / NAME).read_bytes() == SECRET


def test_a_directory_that_somebody_took_for_left_is_not_used(
    place: Path, own: Path, ram: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made before it is locked; whoever tidies up in between has it."""
    lock = editing_module._lock
    taken: list[bool] = []

    def late(directory: Place) -> bool:
        if not taken:
            (made,) = ram.iterdir()
            made.rmdir()
            taken.append(True)
        return lock(directory)

    monkeypatch.setattr(editing_module, "_lock", late)
    command = editing("open(path, 'ab').write(b'edited')")["EDITOR"]
    assert files.Keeper.at(place).edit(place / FILE, str(own), command)
    assert taken and opened(place / FILE, own) == SECRET + b"edited"
    assert list(ram.iterdir()) == []


# Where, and for whom -----------------------------------------------------------------------------


def test_nothing_is_edited_on_a_disk(place: Path, own: Path, tmp_path: Path) -> None:
    if is_ram(tmp_path):
        pytest.skip("tests run in RAM")
    script = f"sys.exit(path.startswith({str(tmp_path)!r}))"
    env = editing(script) | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = run("secrets", "edit", place / FILE, "--identity", own, env=env)
    assert done.returncode == 0, done.stderr


def test_without_ram_nothing_is_edited(
    place: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blockpack import SecretError

    monkeypatch.setattr(editing_module, "is_ram", lambda path: False)
    with pytest.raises(SecretError, match="no RAM file system"):
        files.Keeper.at(place).edit(place / FILE, str(own), "true")


def test_rekey_shuts_out_who_is_no_recipient_any_more(
    place: Path, own: Path, tmp_path: Path
) -> None:
    next_recipient = identity(tmp_path / "next")
    write_files(
        place,
        {
            "blockpack.toml": manifest(next_recipient, IN_CIPHER),
            "vault/deep/down.age": (place / FILE).read_bytes(),
            "elsewhere.age": b"not of a secret volume",
            "vault/deep/.blockpack-0123456789abcdef.tmp": b"left by a run that was killed",
        },
    )
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0, done.stderr
    assert b"2 files encrypted again for 1 recipient" in done.stderr
    for path in (place / FILE, place / "vault/deep/down.age"):
        assert opened(path, tmp_path / "next") == SECRET
        with pytest.raises(pyrage.DecryptError):
            opened(path, own)
    assert (place / "elsewhere.age").read_bytes() == b"not of a secret volume"
    assert os.listdir(place / "vault/deep") == ["down.age"]


def test_rekey_does_all_or_nothing(place: Path, own: Path) -> None:
    write_files(place, {"vault/a.age": b"damaged", "vault/z.age": b"also"})
    before = (place / FILE).read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 8
    assert b"a.age: is damaged" in done.stderr and b"z.age: is damaged" in done.stderr
    assert (place / FILE).read_bytes() == before


def test_rekey_follows_no_links(place: Path, own: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.age"
    outside.write_bytes((place / FILE).read_bytes())
    (place / "vault/link.age").symlink_to(outside)
    (place / "vault/above").symlink_to(tmp_path)
    before = outside.read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"1 file " in done.stderr
    assert outside.read_bytes() == before


def test_rekey_takes_what_a_build_would_open(place: Path, own: Path, tmp_path: Path) -> None:
    """What is excluded, plain, or called otherwise in its volume stays as it is."""
    others = sealed(SECRET, identity(tmp_path / "other"))
    mine = (place / FILE).read_bytes()
    ours = ("vault/plain/deep/x.age", "single.age", "renamed")
    theirs = ("vault/old/x.age", "vault/y.old.age", "vault/.age", "plain", "left.age")
    volumes = IN_CIPHER.replace(
        'source = "vault"',
        'exclude = ["old", "*.old.age"]\n'
        'source = [{ path = "vault" }, { path = "single.age", at = "one.age" },'
        ' { path = "renamed", at = "two.age" }, { path = "plain", at = "a/plain" },'
        ' { path = "left.age", at = "left" }]',
    )
    recipient = identity(tmp_path / "next")
    files = dict.fromkeys(ours, mine) | dict.fromkeys(theirs, others)
    write_files(place, {"blockpack.toml": manifest(recipient, volumes), **files})
    built = run("build", place, "--out", tmp_path / "before", "--identity", own)
    assert built.returncode == 0, built.stderr
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"4 files encrypted again" in done.stderr, done.stderr
    for path in (FILE, *ours):
        assert opened(place / path, tmp_path / "next") == SECRET
    assert all((place / path).read_bytes() == others for path in theirs)
    built = run("build", place, "--out", tmp_path / "after", "--identity", tmp_path / "next")
    assert built.returncode == 0, built.stderr


def test_rekey_follows_the_links_that_its_volume_follows(
    place: Path, own: Path, tmp_path: Path
) -> None:
    """Each file once, and the links stay links."""
    (place / FILE).rename(place / "vault/real")
    for name in ("one.age", "two.age"):
        (place / "vault" / name).symlink_to("real")
    following = f'{IN_CIPHER}symlinks = "follow"\nexclude = ["real"]\n'
    recipient = identity(tmp_path / "next")
    write_files(place, {"blockpack.toml": manifest(recipient, following)})
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 0 and b"1 file encrypted again" in done.stderr, done.stderr
    assert opened(place / "vault/real", tmp_path / "next") == SECRET
    assert (place / "vault/one.age").is_symlink() and (place / "vault/two.age").is_symlink()


def test_rekey_writes_nothing_if_a_volume_cannot_be_packed(place: Path, own: Path) -> None:
    text = (place / "blockpack.toml").read_bytes()
    gone = IN_CIPHER.replace("keys", "more").replace("vault", "nowhere").encode()
    write_files(place, {"blockpack.toml": text + gone})
    before = (place / FILE).read_bytes()
    done = run("secrets", "rekey", "--identity", own, "--deployment", place)
    assert done.returncode == 4
    assert b"nothing was encrypted again" in done.stderr
    assert b"volume more" in done.stderr and b"nowhere: cannot be read" in done.stderr
    assert (place / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["encrypt", "vault/x"], 8, b"names no recipients"),
        (["edit", "vault/x.age", "--identity", "nowhere"], 2, b"set EDITOR"),
        (["encrypt", "vault/x.age"], 2, b"name of an encrypted file"),
        (["encrypt", "vault/none"], 4, b"no such file"),
        (["encrypt", "vault"], 4, b"is not a regular file"),
        (["rekey"], 2, b"--identity"),
        ([], 2, b"ACTION"),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, told: bytes
) -> None:
    files = {
        "blockpack.toml": manifest_of(OPEN),
        "vault/x": b"secret",
    }
    place = write_files(tmp_path / "d", files)
    monkeypatch.chdir(place)
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    done = run("secrets", *words)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_commands_leave_and_print_nothing_of_a_secret(
    place: Path, own: Path, tmp_path: Path
) -> None:
    """All that a good and a bad run of each command leave below TMPDIR and print is searched."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    identity(tmp_path / "other")
    env = {"TMPDIR": str(scratch), **editing("open(path, 'ab').write(b'edited')")}
    shown = b""
    for opener in (tmp_path / "other", own):
        with_identity = ("--identity", opener)
        for words in (
            ("build", place, "--out", tmp_path / "dist", *with_identity, "--json"),
            ("build", place, "--out", tmp_path / "dist", *with_identity, "--depfile", "/dev/null"),
            ("secrets", "rekey", "--deployment", place, *with_identity),
            ("attach", tmp_path / "dist", "--for", "qemu", "--json"),
        ):
            done = run(*words, env=env)
            # Who keeps the secrets is told which file it is that does not open.
            if words[0] != "secrets":
                shown += done.stdout + done.stderr
            assert not found_in(done.stdout + done.stderr, name="no name at all"), words
        run("secrets", "edit", place / FILE, *with_identity, env=env)
    assert not found_in(shown), shown
    assert (tmp_path / "dist/keys.img").exists()
    assert list(leaks(scratch, tmp_path / "dist")) == []
    assert [path.name for path, _ in leaks(place)] == [f"{NAME}.age"]
    assert stat.S_IMODE((tmp_path / "dist/keys.img").stat().st_mode) == 0o600
