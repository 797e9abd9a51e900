"""``host.toml``: what a host says once, and nobody else may say for it; and whose a root is."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import ManifestError, Problems, TargetError
from blockpack.deploy.host.rollout import collect, deploy, rollback
from blockpack.deploy.host.settings import KEYS, HostSettings
from cli.running import process
from deploy.deployments import names
from deploy.hosts import Host
from pages import DOCS, code, table_under
from users import ALICE, MALLORY, PLANTS, as_user, plant, public_directory


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def saved(host: Host) -> dict[str, object]:
    return tomllib.loads((host.root / "host.toml").read_text())


def test_what_was_saved_need_not_be_said_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(host.place)
    options = ("--keep", "2", "--on-activate", host.command(), "--max-size", "1G", "--jobs", "1")
    process("deploy", f"{host.repository.path.name}@main", "--to", "root", *options, "--save")
    assert saved(host) == {
        "repository": str(host.repository.path),
        "revision": "main",
        "on-activate": host.command(),
        "keep": 2,
        "max-size": 1 << 30,
        "jobs": 1,
    }
    for number in range(3):
        host.commit(**{"site/index.html": b"%d" % number})
        process("deploy", "--to", host.root)
    assert host.numbers() == [3, 4]
    process("rollback", host.root)
    assert [line[:2] for line in host.told()] == [
        *(["deploy", str(number)] for number in (1, 2, 3, 4)),
        ["rollback", "3"],
    ]
    process("gc", host.root)
    # The command line says more, and is not noted.
    process("rollback", host.root, "--to", "4", "--on-activate", "")
    assert not host.log.exists()
    process("deploy", "--to", host.root, "--keep", "1", "--on-activate", "true")
    assert saved(host)["keep"] == 2
    process("deploy", "--to", host.root, "--keep", "1", "--save")
    assert saved(host)["keep"] == 1 and saved(host)["repository"] == str(host.repository.path)


def test_another_repository_has_a_revision_of_its_own(host: Host) -> None:
    process("deploy", f"{host.repository.path}@main", "--to", host.root, "--save")
    host.repository.git("branch", "other")
    other = host.place / "other.git"
    shutil.copytree(host.repository.path, other)
    process("deploy", other, "--to", host.root, "--save")
    assert (saved(host)["repository"], saved(host)["revision"]) == (str(other), "HEAD")


def test_nothing_is_saved_of_a_run_that_failed(host: Host) -> None:
    process(
        *("deploy", f"{host.repository.path}@main", "--to", host.root, "--save"),
        *("--on-activate", "false"),
        code=7,
    )
    assert not (host.root / "host.toml").exists()


def test_without_settings_it_is_said_what_is_missing(host: Host) -> None:
    assert "give REPO" in process("deploy", "--to", host.root, code=2).err
    host.deploy()
    assert "give --keep N" in process("gc", host.root, code=2).err


def test_all_that_is_wrong_is_told_with_its_lines(host: Host) -> None:
    host.root.mkdir()
    (host.root / "host.toml").write_text(
        'repository = "www.git"\nkeep = 0\non_activate = "x"\nmax-size = "much"\njobs = true\n'
        'on-activate = "x\\u0000"\nkey-file = 1.5\n'
    )
    told = process("deploy", "--to", host.root, code=2).err
    problems = (
        "repository: is an absolute path",
        "keep: is a number from 1 to 2,147,483,647, not 0",
        "did you mean 'on-activate'",
        "max-size: ",
    )
    for number, what in enumerate(problems, 1):
        assert f"host.toml:{number}: " in told and what in told
    assert "host.toml:5: jobs: " in told
    assert "host.toml:6: on-activate: holds a NUL" in told
    assert "host.toml:7: key-file: is text, not a fraction" in told
    with pytest.raises(Problems, match="is not a valid file of settings"):
        HostSettings.of(host.root)


@pytest.mark.parametrize("key", ["keep", "max-size", "jobs"])
@given(st.integers(max_value=0) | st.integers(min_value=1 << 64) | st.floats() | st.booleans())
def test_every_number_is_told_with_its_key_and_what_is_allowed(key: str, wrong: object) -> None:
    text = f"{key} = {str(wrong).lower()}\n"
    with pytest.raises(Problems) as raised:
        HostSettings.parse(text, "host.toml")
    (error,) = raised.value.errors
    assert isinstance(error, ManifestError) and (error.file, error.line) == ("host.toml", 1)
    assert error.key == key and re.match(
        r"is .*(from 1 to|4096|1 byte or more)|.*large", error.rule
    )
    if type(wrong) is int and -(1 << 64) < wrong <= 0:
        assert error.rule.endswith(f", not {wrong}")


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(_TEXTS, _TEXTS, st.integers(1, 1 << 30), st.integers(1, 1 << 60))
def test_what_is_written_is_read(command: str, path: str, keep: int, size: int) -> None:
    settings = HostSettings(
        repository=f"/{path}", on_activate=command, keep=keep, max_size=size, jobs="auto"
    )
    assert HostSettings.parse(settings.text().encode(), "host.toml") == settings


def test_the_page_has_every_key() -> None:
    rows = table_under(DOCS / "deploy/host.md", "Settings of the host", "key")
    assert [code(row[0]) for row in rows] == [{key} for key in KEYS]


# Whose it is -------------------------------------------------------------------------------------


@pytest.fixture(name="public")
def fixture_public() -> Iterator[Host]:
    """A host in a directory that every user of this machine can reach, with a file of this one."""
    with public_directory() as place:
        (place / "precious").write_bytes(b"mine")
        yield Host(place)


def is_intact(public: Host) -> bool:
    precious = public.place / "precious"
    return precious.read_bytes() == b"mine" and precious.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("way", ["file's mode", "file's owner", "root's mode", "link"])
def test_settings_that_another_user_could_have_written_are_refused(public: Host, way: str) -> None:
    public.deploy()
    evil = f"on-activate = 'touch {public.place}/ran'\n"
    file = public.root / "host.toml"
    file.write_text(evil)
    if way == "file's mode":
        file.chmod(0o666)
    elif way == "file's owner":
        os.chown(file, MALLORY, MALLORY)
    elif way == "root's mode":
        public.root.chmod(0o777)
    else:
        file.rename(public.place / "theirs")
        file.symlink_to(public.place / "theirs")
    for words in (
        ("rollback", public.root),
        ("deploy", public.repository.path, "--to", public.root),
    ):
        assert process(*words, code=5).err
    assert not (public.place / "ran").exists()
    assert public.live() == 1


def test_the_root_of_another_user_is_refused(public: Host) -> None:
    """Whatever is planted there: nothing of this user's is opened for it, or changed."""
    public.root.mkdir()
    (public.root / "generations").mkdir()
    for name in (".lock", "activations.jsonl", "host.toml"):
        (public.root / name).symlink_to(public.place / "precious")
    for path in (public.root, public.root / "generations"):
        os.chown(path, MALLORY, MALLORY)
    for work in (public.deploy, lambda: rollback(public.root), lambda: collect(public.root, 1)):
        with pytest.raises(TargetError):
            work()
    assert is_intact(public)


@pytest.mark.parametrize("name", [".lock", "activations.jsonl"])
@pytest.mark.parametrize("kind", PLANTS)
def test_what_was_planted_before_a_root_was_ours_is_not_opened(
    public: Host, name: str, kind: str
) -> None:
    public.root.mkdir()
    plant(kind, public.root / name, public.place / "precious")
    if kind == "file":
        os.chown(public.root / name, MALLORY, MALLORY)
    with pytest.raises(TargetError):
        public.deploy()
    assert is_intact(public)
    assert public.live() is None


def test_nobody_else_holds_what_becomes_live(public: Host) -> None:
    """What another user opens while it is made, he could write to after it was verified."""
    seen: list[str] = []

    def watch() -> list[str]:
        found = []
        for path, _, files in os.walk(public.root):
            for name in files:
                try:
                    os.close(os.open(os.path.join(path, name), os.O_RDWR))
                    found.append(name)
                except OSError:
                    pass
        return found

    before = os.umask(0)
    try:
        public.deploy(progress=lambda _: seen.extend(as_user(MALLORY, watch)))
    finally:
        os.umask(before)
    assert public.live() == 1 and not seen


def test_a_user_deploys_to_what_is_his(public: Host) -> None:
    home = public.place / "home"
    home.mkdir()
    os.chown(home, ALICE, ALICE)
    repository = home / "www.git"
    shutil.copytree(public.repository.path, repository)
    for path in (repository, *repository.rglob("*")):
        os.chown(path, ALICE, ALICE)

    def work() -> int:
        return deploy(repository, "main", home / "root").generation.number

    assert as_user(ALICE, work) == 1
    assert "run as that user" in process("status", home / "root", code=5).err
    with pytest.raises(TargetError, match="run as that user"):
        collect(home / "root", 1)
    assert names(home / "root") == {"generations", "current", ".lock", "activations.jsonl"}
