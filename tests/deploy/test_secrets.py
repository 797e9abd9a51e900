"""Secret volumes: who can read them, and where they never are."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from blockpack import Problems, SecretError, UsageError, open_image
from blockpack.deploy.build import BuildReport, build
from blockpack.deploy.image import Task
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.secrets.opening import MOST_BYTES, SecretContent
from blockpack.deploy.secrets.ramfs import file_system, is_ram
from blockpack.layers.keys import make_key, read_key
from deploy.deployments import write_files
from deploy.secret_deployments import (
    IN_CIPHER,
    IN_CLEAR,
    NAME,
    SECRET,
    found_in,
    identity,
    leaks,
    manifest,
    run,
    sealed,
    secret_deployment,
)
from judges import ccm
from repositories import GitRepository


@pytest.fixture(name="keeper")
def fixture_keeper(tmp_path: Path) -> tuple[Path, str]:
    """A file with an identity, and its recipient."""
    return tmp_path / "identity", identity(tmp_path / "identity")


@pytest.fixture(name="ram")
def fixture_ram() -> Iterator[Path]:
    """A directory in RAM."""
    place = Path("/dev/shm") / f"blockpack-test-{os.urandom(6).hex()}"
    if not is_ram("/dev/shm"):
        pytest.skip("there is no RAM file system at /dev/shm")
    place.mkdir()
    yield place
    subprocess.run(["rm", "-rf", place], check=True)


def built(place: Path | str, dist: Path, own: Path | None, **options: Any) -> BuildReport:
    """What a build with the identity `own` did."""
    return build(
        place, dist, secrets=Secrets(identity=None if own is None else str(own), **options)
    )


def in_tar(data: bytes) -> dict[str, bytes]:
    """The files in a tar archive, by Python's own reader."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        files = ((member, archive.extractfile(member)) for member in archive)
        return {member.name: file.read() for member, file in files if file is not None}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# What is built -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [512, 4096])
def test_a_judge_decrypts_what_was_encrypted_in_the_repository(
    tmp_path: Path, keeper: tuple[Path, str], size: int
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], f"{IN_CIPHER}sector-size = {size}\n")
    report = built(place, tmp_path / "dist", keeper[0])
    image, key = tmp_path / "dist/keys.img", tmp_path / "dist/keys.key"
    assert mode(image) == mode(key) == 0o600
    plain = ccm.decoded(image.read_bytes(), bytes.fromhex(key.read_text()), size)
    assert in_tar(plain) == {NAME: SECRET}
    (record,) = report.record.volumes
    assert (record.secret, record.cipher, record.key) == (True, "aes-ccm", "keys.key")


@pytest.mark.parametrize("options", ['"fat"', '"git"', '"git"\ncontainer = "bundle"'])
def test_any_format_is_encrypted(tmp_path: Path, keeper: tuple[Path, str], options: str) -> None:
    volumes = IN_CIPHER.replace('"tar"', options)
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    with open_image(tmp_path / "dist/keys.img", key=key) as image:
        assert image.verify() == []
        with image.open(NAME) as file:
            assert file.read() == SECRET


@pytest.mark.parametrize("compression", [0, 9])
def test_no_temporary_file_has_what_git_packs(
    tmp_path: Path, keeper: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, compression: int
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    volumes = f"{IN_CIPHER.replace('tar', 'git')}compression = {compression}\n"
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    with open_image(tmp_path / "dist/keys.img", key=key) as image, image.open(NAME) as file:
        assert file.read() == SECRET


def test_the_command_shows_an_image_to_who_has_the_key(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    done = run("build", place, "--out", dist, "--identity", keeper[0])
    assert done.returncode == 0, done.stderr
    with_key: tuple[Path, str, Path] = (dist / "keys.img", "--key-file", dist / "keys.key")
    assert run("ls", *with_key).stdout.decode().split() == [NAME]
    assert run("cat", dist / "keys.img", NAME, *with_key[1:]).stdout == SECRET
    assert run("verify", *with_key).returncode == 0
    assert run("ls", dist / "keys.img").returncode == 6


def test_a_commit_is_built_as_its_directory_is(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    repository = GitRepository.init(tmp_path / "repository")
    repository.commit(
        {
            "blockpack.toml": manifest(keeper[1], IN_CIPHER),
            f"vault/{NAME}.age": sealed(SECRET, keeper[1]),
        }
    )
    built(f"git:{repository.path}@HEAD", tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    image = (tmp_path / "dist/keys.img").read_bytes()
    assert in_tar(ccm.decoded(image, key, 512)) == {NAME: SECRET}


def test_several_identities_and_armour(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    import pyrage

    other = identity(tmp_path / "other")
    with open(keeper[0], "a") as file:
        file.write((tmp_path / "other").read_text())
    armoured = pyrage.encrypt(b"armoured", [pyrage.x25519.Recipient.from_str(other)], armored=True)
    files = {"vault/a.age": sealed(b"first", keeper[1]), "vault/b/c.age": armoured}
    place = secret_deployment(tmp_path / "d", keeper[1], files=files)
    built(place, tmp_path / "dist", keeper[0])
    key = read_key(tmp_path / "dist/keys.key")
    image = (tmp_path / "dist/keys.img").read_bytes()
    assert in_tar(ccm.decoded(image, key, 512)) == {"a": b"first", "b/c": b"armoured"}


def test_a_key_of_ssh_is_an_identity(tmp_path: Path) -> None:
    import pyrage

    own = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own], check=True)
    recipient = (tmp_path / "id.pub").read_text().strip()
    data = pyrage.encrypt(SECRET, [pyrage.ssh.Recipient.from_str(recipient)])
    place = secret_deployment(tmp_path / "d", recipient, files={"vault/x.age": data})
    built(place, tmp_path / "dist", own)
    assert (tmp_path / "dist/keys.img").exists()


# Where it may lie --------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777])
@pytest.mark.parametrize("volumes", [IN_CIPHER, IN_CLEAR])
def test_images_and_keys_are_their_owners_alone(
    ram: Path, keeper: tuple[Path, str], umask: int, volumes: str
) -> None:
    if umask & 0o700 and os.geteuid():
        pytest.skip("nobody but root may write to a directory without permissions")
    place = secret_deployment(ram / "d", keeper[1], volumes)
    dist = ram / "dist"
    done = run("build", place, "--out", dist, "--identity", keeper[0], umask=umask)
    assert done.returncode == 0, done.stderr
    assert mode(dist / "keys.img") == 0o600
    if volumes == IN_CIPHER:
        assert mode(dist / "keys.key") == 0o600
    else:
        assert in_tar((dist / "keys.img").read_bytes()) == {NAME: SECRET}


def test_no_file_is_ever_open_to_others(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    """What makes files is watched: each that is made for a secret has its mode from there on."""
    place = secret_deployment(tmp_path / "d", keeper[1])
    trace = tmp_path / "trace"
    tracing: list[str | Path] = ["strace", "-f", "-e", "trace=open,openat,creat", "-o", trace]
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "blockpack",
        "build",
        place,
        "--out",
        tmp_path / "dist",
    ]
    done = subprocess.run(
        [*tracing, *words, "--identity", keeper[0]], umask=0, check=True, capture_output=True
    )
    made = [line for line in trace.read_text().splitlines() if "O_CREAT" in line]
    secret = [line for line in made if "keys.img" in line or "keys.key" in line]
    assert len(secret) == 2, done.stderr
    assert all("O_EXCL" in line and ", 0600)" in line for line in secret)


def test_a_disk_is_no_place_for_an_image_in_clear(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    if is_ram(tmp_path):
        pytest.skip("tests run in RAM")
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CLEAR)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert raised.value.exit_code == SecretError.exit_code
    assert "which is no RAM file system; add cipher" in str(raised.value)
    assert not (tmp_path / "dist").exists()
    write_files(
        place, {"blockpack.toml": manifest(keeper[1], f"{IN_CLEAR}allow_persistent = true\n")}
    )
    built(place, tmp_path / "dist", keeper[0])
    assert in_tar((tmp_path / "dist/keys.img").read_bytes()) == {NAME: SECRET}


def test_what_a_disk_may_not_hold_any_more_is_built_again(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    if is_ram(tmp_path):
        pytest.skip("tests run in RAM")
    place = secret_deployment(tmp_path / "d", keeper[1], f"{IN_CLEAR}allow_persistent = true\n")
    built(place, tmp_path / "dist", keeper[0])
    write_files(place, {"blockpack.toml": manifest(keeper[1], IN_CLEAR)})
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "no RAM file system" in str(raised.value)


def test_an_image_that_is_replaced_is_wiped(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    volumes = f"{IN_CLEAR}allow_persistent = true\n"
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    built(place, tmp_path / "dist", keeper[0])
    with open(tmp_path / "dist/keys.img", "rb") as old:
        assert SECRET in old.read()
        write_files(place, {f"vault/{NAME}.age": sealed(b"other", keeper[1])})
        built(place, tmp_path / "dist", keeper[0])
        old.seek(0)
        assert not old.read().strip(b"\0")
    assert in_tar((tmp_path / "dist/keys.img").read_bytes()) == {NAME: b"other"}


def test_what_the_manifest_has_no_more_is_wiped(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    open_volume = '[volumes.site]\nsource = "vault"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    built(place, tmp_path / "dist", keeper[0])
    with open(tmp_path / "dist/keys.key", "rb") as key, open(tmp_path / "dist/keys.img", "rb") as i:
        write_files(place, {"blockpack.toml": manifest(keeper[1], open_volume)})
        report = built(place, tmp_path / "dist", keeper[0])
        assert set(report.removed) == {"keys.img", "keys.key"}
        assert not key.read().strip(b"\0") and not i.read().strip(b"\0")


def test_what_told_of_a_volume_is_gone_once_it_is_secret(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    plain = '[volumes.keys]\nsource = "vault"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], plain)
    built(place, tmp_path / "dist", keeper[0])
    assert (tmp_path / "dist/keys.json").exists()
    write_files(place, {"blockpack.toml": manifest(keeper[1], IN_CIPHER)})
    built(place, tmp_path / "dist", keeper[0])
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {
        *("keys.img", "keys.key", "manifest.json", ".blockpack-build.json")
    }
    assert list(leaks(tmp_path / "dist")) == []


# When it is built --------------------------------------------------------------------------------


def test_what_did_not_change_is_left_alone(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    first = (dist / "keys.img").read_bytes(), (dist / "keys.key").read_bytes()
    report = build(place, dist)  # and needs no identity
    assert report.unchanged == ("keys",)
    assert first == ((dist / "keys.img").read_bytes(), (dist / "keys.key").read_bytes())
    write_files(place, {f"vault/{NAME}.age": sealed(SECRET, keeper[1])})
    report = built(place, dist, keeper[0])
    assert report.built == ("keys",)
    assert first[1] != (dist / "keys.key").read_bytes()


def test_a_key_file_is_what_an_image_opens_with(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    key = make_key(tmp_path / "key")
    report = built(place, dist, keeper[0], key_file=str(tmp_path / "key"))
    assert report.built == ("keys",) and not (dist / "keys.key").exists()
    assert in_tar(ccm.decoded((dist / "keys.img").read_bytes(), key, 512)) == {NAME: SECRET}
    assert built(place, dist, None, key_file=str(tmp_path / "key")).unchanged == ("keys",)
    make_key(tmp_path / "next")
    report = built(place, dist, keeper[0], key_file=str(tmp_path / "next"))
    assert report.built == ("keys",)


def test_a_key_that_a_build_made_is_no_key_file_for_the_next(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    """It would be wiped together with the image that it opens."""
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    own = str(dist / "keys.key")
    assert built(place, dist, keeper[0], key_file=own).unchanged == ("keys",)
    write_files(place, {f"vault/{NAME}.age": sealed(b"other", keeper[1])})
    with pytest.raises(UsageError, match="keep it elsewhere"):
        built(place, dist, keeper[0], key_file=own)
    assert (dist / "keys.key").exists()


def test_a_key_may_be_taken_away(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    built(place, tmp_path / "dist", keeper[0])
    (tmp_path / "dist/keys.key").rename(tmp_path / "elsewhere")
    assert build(place, tmp_path / "dist").unchanged == ("keys",)
    (tmp_path / "dist/keys.img").unlink()
    assert built(place, tmp_path / "dist", keeper[0]).built == ("keys",)
    assert (tmp_path / "dist/keys.key").exists()


def test_plain_files_in_a_directory_are_told_of_and_leave_no_trace(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], files={f"vault/{NAME}": SECRET})
    dist = tmp_path / "dist"
    for _ in range(2):
        report = build(place, dist)
        assert report.built == ("keys",)
        ((volume, warning),) = report.warnings
        assert volume == "keys" and warning.startswith("1 of its files is not encrypted")
    assert list(leaks(dist)) == []


class _Watched(ThreadPoolExecutor):
    """An executor that takes down what it is handed."""

    def __init__(self) -> None:
        super().__init__(1)
        self.tasks: list[Task] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += args
        return super().submit(fn, *args, **kwargs)


def test_no_executor_is_handed_a_secret(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    volumes = f'{IN_CIPHER}[volumes.site]\nsource = "site"\nformat = "tar"\n'
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    write_files(place, {"site/index": b"open"})
    with _Watched() as executor:
        report = build(
            place, tmp_path / "dist", executor=executor, secrets=Secrets(identity=str(keeper[0]))
        )
        assert report.built == ("keys", "site")
        assert [task.spec.name for task in executor.tasks] == ["site"]
    with pytest.raises(TypeError, match="no other process"):
        pickle.dumps(SecretContent(SECRET))
    assert not found_in(repr(SecretContent(SECRET)).encode())


def test_memory_is_not_dumped(tmp_path: Path) -> None:
    script = """
import ctypes, os, resource
from blockpack.deploy.secrets.memory import guarded
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
with guarded():
    pass
assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
child = os.fork()
if not child:
    os._exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("place", "told"), [("/dev/shm", "tmpfs"), ("/proc", "proc"), ("/proc/self/fd", "proc")]
)
def test_file_systems_are_told_apart(place: str, told: str) -> None:
    assert file_system(place) == told
    assert is_ram(place) == (told == "tmpfs")
    descriptor = os.open(place, os.O_RDONLY)
    try:
        assert file_system(descriptor) == told
    finally:
        os.close(descriptor)


# What goes wrong ---------------------------------------------------------------------------------


def everything(error: BaseException | None) -> Iterator[str]:
    """All that an error has to say: also notes, members, causes and contexts, and their values."""
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from getattr(error, "__notes__", ())
    for each in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from everything(each)


LONG = f"{NAME}-{'x' * 250}"
"""A name that no FAT and no ustar has."""


@pytest.mark.parametrize(
    ("files", "volumes", "told"),
    [
        ({NAME: b"age-encryption.org/v1\nno header"}, "", "1 of its files is damaged"),
        ({NAME: SECRET}, "", "1 of its files is damaged"),
        ({NAME: None}, "", "1 of its files is encrypted for others"),
        ({NAME: None, "x": None}, "", "2 of its files are encrypted for others"),
        ({NAME: True, f"{NAME}.age": True}, "exclude = []", None),
        ({NAME: True}, "size = 512", "1 problem: it cannot be held"),
        ({f"{NAME}?:": True, "aux": True}, 'profile = "windows"', ""),
        ({f"{NAME} ": True, f"{NAME.upper()} ": True}, 'profile = "mirage"', ""),
        ({LONG[:200]: True}, 'tar-dialect = "ustar"', None),
    ],
)
@pytest.mark.parametrize("format", ["tar", "fat", "git"])
def test_errors_tell_nothing_of_what_is_secret(
    tmp_path: Path,
    keeper: tuple[Path, str],
    files: dict[str, bytes | bool | None],
    volumes: str,
    told: str | None,
    format: str,
) -> None:
    other = identity(tmp_path / "other")
    content: dict[str, bytes] = {}
    for name, what in files.items():
        data = what if isinstance(what, bytes) else sealed(SECRET, keeper[1] if what else other)
        content[f"vault/{name}.age"] = data
    text = IN_CIPHER.replace('"tar"', f'"{format}"') + volumes
    place = secret_deployment(tmp_path / "d", keeper[1], text, content)
    try:
        report = built(place, tmp_path / "dist", keeper[0])
    except Problems as error:
        said = "\n".join(everything(error))
    else:
        said = repr(report)
    assert not found_in(said.encode()), said
    if told and format == "tar":
        assert told in said
    shown = run("build", place, "--out", tmp_path / "dist", "--identity", keeper[0], "--json")
    assert not found_in(shown.stdout + shown.stderr), shown
    assert b"Traceback" not in shown.stderr
    assert list(leaks(*tmp_path.glob("dist"))) == []


def test_warnings_tell_nothing_of_what_is_secret(ram: Path, keeper: tuple[Path, str]) -> None:
    """Git has no empty directories, and tells which it left out."""
    place = secret_deployment(ram / "d", keeper[1], IN_CLEAR.replace("tar", "git"))
    (place / "vault" / f"{NAME}-of-others").mkdir()
    report = built(place, ram / "dist", keeper[0])
    ((volume, warning),) = report.warnings
    assert volume == "keys" and "nothing more is told of secrets" in warning
    assert not found_in(repr(report).encode())


def test_plain_files_of_a_commit_are_errors(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    repository = GitRepository.init(tmp_path / "repository")
    repository.commit(
        {
            "blockpack.toml": manifest(keeper[1], IN_CIPHER),
            f"vault/{NAME}": SECRET,
            "vault/b": b"",
            "vault/c.age": sealed(SECRET, keeper[1]),
        }
    )
    with pytest.raises(Problems) as raised:
        built(f"git:{repository.path}@HEAD", tmp_path / "dist", keeper[0])
    assert "2 of its files are not encrypted" in str(raised.value)
    assert "'git ls-files vault'" in str(raised.value)
    assert not found_in("\n".join(everything(raised.value)).encode())
    assert not (tmp_path / "dist").exists()


def test_two_files_of_one_name_are_an_error(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    files = {f"vault/{NAME}.age": sealed(SECRET, keeper[1]), f"vault/{NAME}": SECRET}
    place = secret_deployment(tmp_path / "d", keeper[1], files=files)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "1 of its files is named as something else" in str(raised.value)
    assert not found_in("\n".join(everything(raised.value)).encode())


def test_without_an_identity_nothing_opens(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    with pytest.raises(Problems) as raised:
        build(place, tmp_path / "dist")
    assert "nothing to open them with; give --identity FILE" in str(raised.value)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o666])
def test_an_identity_that_others_can_read_is_refused(
    tmp_path: Path, keeper: tuple[Path, str], bits: int
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    keeper[0].chmod(bits)
    with pytest.raises(UsageError, match=f"others may read or write it .mode 0{bits:o}"):
        built(place, tmp_path / "dist", keeper[0])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# nothing\n",
        b"AGE-SECRET-KEY-1QQQ",
        b"AGE-PLUGIN-X-1QQ",
        b"age-encryption.org/v1\n-> scrypt 1QQ\n",
        b"-----BEGIN X-----\n",
        b"\xff",
    ],
)
def test_what_is_no_identity_is_not_shown(
    tmp_path: Path, keeper: tuple[Path, str], text: bytes
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    keeper[0].write_bytes(text)
    with pytest.raises((UsageError, Problems)) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert raised.value.exit_code == 2
    assert "1QQ" not in "".join(everything(raised.value))


def test_no_more_is_decrypted_than_memory_holds(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    with open(place / f"vault/{NAME}.age", "r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "more than 256 MiB together" in str(raised.value)


@pytest.mark.parametrize("step", range(0, 400, 7))
def test_damaged_files_are_refused(tmp_path: Path, keeper: tuple[Path, str], step: int) -> None:
    """A byte of a file is changed, or it ends there."""
    from blockpack.deploy.secrets.age import Closed, Identities

    data = bytearray(sealed(SECRET[:200], keeper[1]))
    at = step % len(data)
    own = Identities.read(keeper[0])
    assert isinstance(own.open(bytes(data[:at])), Closed)
    data[at] ^= 1
    assert isinstance(own.open(bytes(data)), Closed)


def test_an_unforeseen_error_is_not_shown(
    tmp_path: Path, keeper: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from blockpack import TarVolume

    def fail(self: object, tree: object) -> None:
        raise KeyError(NAME, SECRET)

    monkeypatch.setattr(TarVolume, "plan", fail)
    place = secret_deployment(tmp_path / "d", keeper[1])
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    said = "\n".join(everything(raised.value))
    assert "KeyError" in said and not found_in(said.encode())
