"""``blockpack secrets encrypt`` and ``edit``: those who keep secrets make and edit them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from blockpack.deploy.secrets import editing as editing_module
from blockpack.deploy.secrets import files
from blockpack.deploy.secrets.ramfs import is_ram
from cli.secrets.editors import FILE, OPEN, editing, opened
from deploy.deployments import manifest as manifest_of
from deploy.deployments import write_files
from deploy.secret_deployments import NAME, SECRET, found_in, identity, leaks, run


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
            (
                "build",
                place,
                "--out",
                tmp_path / "dist",
                *with_identity,
                "--depfile",
                tmp_path / "d",
            ),
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
