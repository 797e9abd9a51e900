"""An option may say anything: what cannot be meant is wrong usage, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import FORMATS, Command

LONG = "9" * 5000
"""More digits than Python takes for a number."""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "option",
    [
        *("--size=9999999T", "--free=9000000T", "--free=8388608T", "--pad=99999999T"),
        *(f"--{name}={LONG}" for name in ("size", "free", "pad", "sector-size", "jobs")),
        *("--size=0", "--pad=0", "--pad=511", "--sector-size=9999999T"),
        "--exclude=!",
    ],
    ids=lambda option: option[:25],
)
def test_an_option_that_cannot_be_meant_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, form: str, option: str
) -> None:
    command("pack", source, tmp_path / "image", "--format", form, option, code=2)
    command("plan", source, "--format", form, option, code=2)
    assert not (tmp_path / "image").exists()


MOST = (1 << 63) - 512
"""The last size, in whole sectors, that an option may have."""


@pytest.mark.parametrize("options", [("--format=tar",), ("--format=git", "--container=pack")])
def test_an_image_of_more_bytes_than_files_have_is_refused(
    command: Command, source: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """What is packed comes on top of the room that is left."""
    (source / "hollow").rmdir()  # git has no empty directories
    words = (*options, f"--free={MOST}")
    for done in (
        command("pack", source, tmp_path / "image", *words, code=3),
        command("plan", source, *words, code=3),
    ):
        assert "more than any file can have; leave less room" in done.err
    assert not (tmp_path / "image").exists()


def test_an_encrypted_image_of_more_bytes_than_files_have_is_refused(
    command: Command, source: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))
    words = ("--key-file", key, f"--size={MOST}")
    done = command("pack", source, tmp_path / "x.tar", *words, code=3)
    assert "encrypted, the image has 18,446,744,073,709,550,592 bytes" in done.err
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--owner=99999999999999999999999999:0",
        "--owner=0:4294967296",
        *("--owner=0", "--owner=0:0:0", "--owner=", "--owner=:", "--owner=²:0", "--owner=٣:0"),
        f"--owner={LONG}:0",
        *("--align=9999999T", f"--align={LONG}", "--align=²", "--align="),
    ],
    ids=lambda option: option[:25],
)
def test_an_option_of_tar_that_cannot_be_meant_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, option: str
) -> None:
    command("pack", source, tmp_path / "x.tar", option, code=2)
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize("size", ["9999999T", LONG, "0"], ids=["9999999T", "long", "0"])
def test_a_cluster_size_that_cannot_be_meant_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, size: str
) -> None:
    options = ("--format", "fat", f"--cluster-size={size}")
    command("pack", source, tmp_path / "image", *options, code=2)
    assert not (tmp_path / "image").exists()


def test_owners_may_have_all_of_32_bits(command: Command, source: Path, tmp_path: Path) -> None:
    command("pack", source, tmp_path / "x.tar", "--owner=4294967295:4294967295")
    assert command("verify", tmp_path / "x.tar").code == 0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mtime", ["fixed", "keep", "clamp"])
@pytest.mark.parametrize(
    "epoch", [str(10**44), str(-(10**44)), str(1 << 63), LONG, "1.5", "1e9"], ids=lambda e: e[:12]
)
def test_a_source_date_epoch_that_no_machine_has_is_wrong_usage(
    command: Command,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    mtime: str,
    epoch: str,
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    options = ("--format", form, "--mtime", mtime)
    command("pack", source, tmp_path / "image", *options, code=2)
    assert not (tmp_path / "image").exists()


def test_what_is_in_an_image_may_be_named_from_its_root(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for form in FORMATS:
        command("pack", source, tmp_path / "image", "--format", form)
        assert command("ls", tmp_path / "image", "./index.html").lines == ["index.html"]
        deep = command("ls", tmp_path / "image", "./pages/deep/").lines
        assert deep == ["pages/deep/", "pages/deep/er/", "pages/deep/er/Größe.txt"]
        assert command("cat", tmp_path / "image", "./index.html").out == b"<h1>hello</h1>\n"
