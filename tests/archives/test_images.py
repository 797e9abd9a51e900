"""Images are sources, as archives are."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from archives.making import rendered
from blockpack import SourceError, scan


@pytest.mark.parametrize("form", ["tar", "fat", "git", "erofs"])
@pytest.mark.parametrize("opened", [False, True])
def test_an_image_is_a_source(form: str, opened: bool, site: Path, tmp_path: Path) -> None:
    directory = scan(site, symlinks="follow", exclude=["hollow"])  # git keeps no empty ones
    volume = {
        "tar": blockpack.TarVolume(mode="keep", mtime="keep"),
        "fat": blockpack.FatVolume(mtime="keep"),
        "git": blockpack.GitVolume(),
        "erofs": blockpack.ErofsVolume(mode="keep", mtime="keep"),
    }[form]
    first, second = tmp_path / "first", tmp_path / "second"
    blockpack.write(volume.plan(directory), first)
    if opened:
        with blockpack.open_image(first) as image:
            blockpack.write(volume.plan(scan(image)), second)
    else:
        blockpack.write(volume.plan(scan(first)), second)
    with blockpack.open_image(first) as one, blockpack.open_image(second) as two:
        assert {entry.path: one.read(entry.path) for entry in one if entry.kind == "file"} == {
            entry.path: two.read(entry.path) for entry in two if entry.kind == "file"
        }
    if form != "git":  # whose commit has a new time
        assert first.read_bytes() == second.read_bytes()


def test_an_encrypted_image_that_is_open_is_a_source(site: Path, tmp_path: Path) -> None:
    from blockpack.layers.ccm import encrypt

    volume = blockpack.TarVolume()
    key = bytes(range(16))
    blockpack.write(encrypt(volume.plan(scan(site)), key), tmp_path / "secret")
    with blockpack.open_image(tmp_path / "secret", key=key) as image:
        assert rendered(volume, scan(image)) == rendered(volume, scan(site))
    with pytest.raises(SourceError, match="is not a directory, an archive or an image"):
        scan(tmp_path / "secret")
