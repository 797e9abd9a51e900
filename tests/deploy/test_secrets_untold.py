"""Secret volumes: errors and warnings tell nothing of what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockpack import Problems
from blockpack.deploy.building.check import check
from deploy.secret_deployments import (
    IN_CIPHER,
    IN_CLEAR,
    NAME,
    SECRET,
    built,
    everything,
    found_in,
    identity,
    leaks,
    manifest,
    run,
    sealed,
    secret_deployment,
)
from repositories import GitRepository

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
        ({NAME: True}, "size = 512", "1 problem: this format or profile"),
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


def test_a_source_that_is_missing_is_named_as_the_manifest_has_it(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    (place / "vault").rename(tmp_path / "elsewhere")
    with pytest.raises(Problems) as caught:
        built(place, tmp_path / "dist", keeper[0])
    assert "vault: cannot be read: no such file" in str(list(everything(caught.value)))


def test_warnings_tell_nothing_of_what_is_secret(ram: Path, keeper: tuple[Path, str]) -> None:
    """Git has no empty directories, and tells which it left out."""
    place = secret_deployment(ram / "d", keeper[1], IN_CLEAR.replace("tar", "git"))
    (place / "vault" / f"{NAME}-of-others").mkdir()
    report = built(place, ram / "dist", keeper[0])
    ((volume, warning),) = report.warnings
    assert volume == "keys" and "details of secrets are never shown" in warning.text
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


def test_plain_files_of_a_commit_with_the_suffix_are_errors_of_check(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    repository = GitRepository.init(tmp_path / "repository")
    files = {"blockpack.toml": manifest(keeper[1], IN_CIPHER), f"vault/{NAME}.age": SECRET}
    repository.commit({**files, "vault/b.age": sealed(SECRET, keeper[1])})
    with pytest.raises(Problems) as raised:
        check(f"git:{repository.path}@HEAD")
    assert "1 of its files is damaged, or not encrypted with age" in str(raised.value)
    assert not found_in("\n".join(everything(raised.value)).encode())


def test_two_files_of_one_name_are_an_error(tmp_path: Path, keeper: tuple[Path, str]) -> None:
    files = {f"vault/{NAME}.age": sealed(SECRET, keeper[1]), f"vault/{NAME}": SECRET}
    place = secret_deployment(tmp_path / "d", keeper[1], files=files)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "1 of its files is named as another file" in str(raised.value)
    assert not found_in("\n".join(everything(raised.value)).encode())


def test_an_unforeseen_error_is_not_shown(
    tmp_path: Path, keeper: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from blockpack import TarVolume

    def fail(self: object, tree: object, **_: object) -> None:
        raise KeyError(NAME, SECRET)

    monkeypatch.setattr(TarVolume, "plan", fail)
    place = secret_deployment(tmp_path / "d", keeper[1])
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    said = "\n".join(everything(raised.value))
    assert "KeyError" in said and not found_in(said.encode())


def test_a_size_that_no_system_has_is_refused_and_not_told(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    volumes = f"{IN_CIPHER}size = {1 << 62}\n"  # what is encrypted is twice as long
    place = secret_deployment(tmp_path / "d", keeper[1], volumes)
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "cannot hold it" in str(raised.value) and str(1 << 63) not in str(raised.value)
    assert not (tmp_path / "dist").exists()
