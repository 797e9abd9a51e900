"""There and back: directory → bundle → clone → git source → tar or FAT → the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings

import blockpack
from blockpack.formats.git.origin import Origin
from blockpack.images.extract import extract
from judges import git_tools
from judges.git_tools import Files
from property.strategies import Spec, fat_names, fold, materialise, specs, unix_names
from repositories import git_tree

FEW = max(5, settings().max_examples // 6)


def is_for_git(name: str) -> bool:
    """Whether git takes the name, and nothing in it for attributes."""
    return "git" not in name.casefold()


of_tar = specs(unix_names.filter(is_for_git), links=True, most_units=1000)
of_fat = specs(fat_names.filter(is_for_git), key=fold)


def there_and_back(spec: Spec, volume: blockpack.Volume, directory: Path) -> tuple[Files, Files]:
    """The files of a directory, and those of the last image of all."""
    source = directory / "source"
    source.mkdir()
    materialise(spec, source)
    bundle = blockpack.GitVolume(container="bundle").plan(blockpack.scan(source))
    blockpack.write(bundle, directory / "bundle")
    before = git_tools.read_files(source)
    assert git_tools.clone(directory / "bundle", directory / "clone") == before
    tree = git_tree(directory / "clone")
    assert isinstance(tree.origin, Origin) and tree.origin.commit == bundle.geometry["commit"]
    blockpack.write(volume.plan(tree), directory / "image")
    with blockpack.open_image(directory / "image") as image:
        assert image.verify() == []
        extract(image, directory / "out")
    return before, git_tools.read_files(directory / "out")


@settings(max_examples=FEW)
@given(spec=of_tar)
def test_tar_has_every_name_byte_link_and_executable(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as name:
        before, after = there_and_back(spec, blockpack.TarVolume(), Path(name))
        assert after == before


@settings(max_examples=FEW)
@given(spec=of_fat)
def test_fat_has_every_name_and_byte(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as name:
        before, after = there_and_back(spec, blockpack.FatVolume(), Path(name))
        assert contents(after) == contents(before)


def contents(files: Files) -> dict[bytes, bytes]:
    """The bytes of each file; FAT has no modes."""
    return {path: data for path, (_, data) in files.items()}
