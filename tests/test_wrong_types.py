"""What is of a wrong type is wrong usage, told by the argument's name before anything is done."""

from __future__ import annotations

import inspect
import io
import pickle
import pydoc
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import TarVolume, Tree, UsageError, deploy
from blockpack.layers.verity.verity import TreeOptions
from blockpack.model.entry import MEMORY
from blockpack.planning.options import parse_size
from blockpack.planning.profile import PROFILES

LAYOUT = TarVolume().plan(Tree())

NOT_MADE_BY_CALLERS = {
    *("Data", "Extent", "FileRange", "Run", "Stream", "Zeros"),
    *("Difference", "LayoutWarning", "Layout", "Placement", "Progress", "Report"),
    *("Format", "Image", "ImageEntry", "ImageReader", "Store", "Volume"),
    *("BuildRecord", "BuildReport", "CheckedVolume", "Deployment", "DeployReport", "Generation"),
    *("Manifest", "Status"),
}
"""What blockpack makes, or others derive from."""

IN_A_TREE = {"Directory", "Entry", "File", "Symlink", "Tree"}
"""What is checked when it is put into a tree, for there may be a million."""

ANYTHING = {
    ("Tree.join", "at"),
    ("scan", "source"),
    ("ImagePath", "image"),
    ("build", "executor"),
    ("deploy", "executor"),
}
"""Arguments whose types are known only to whoever uses them."""


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All that may be called."""
    for package in (blockpack, deploy):
        for name in dir(package):
            found = getattr(package, name)
            if isinstance(found, type) and issubclass(found, BaseException):
                continue
            if name[0] != "_" and name not in NOT_MADE_BY_CALLERS | IN_A_TREE:
                yield name, found
    for made in (
        TarVolume(),
        blockpack.FatVolume(),
        blockpack.GitVolume(),
        blockpack.ErofsVolume(),
    ):
        yield f"{type(made).__name__}.plan", made.plan
    yield "Tree.join", Tree().join
    yield "Manifest.parse", deploy.Manifest.parse


PUBLIC = dict(public())


def arguments() -> Iterator[tuple[str, str, str]]:
    """Of each the name of what is called, its own, and its annotation."""
    for name, function in PUBLIC.items():
        for argument in inspect.signature(function).parameters.values():
            told = {argument.name: str(argument.annotation)}
            if argument.kind is argument.VAR_KEYWORD:
                told = TreeOptions.__annotations__
                told = {each: getattr(of, "__forward_arg__", of) for each, of in told.items()}
            for each, of in told.items():
                if (name, each) not in ANYTHING:
                    yield name, each, of


ARGUMENTS = list(arguments())


def kind_of(value: object) -> str:
    """What a test of a value is called: what `repr` shows may be new in each process."""
    return type(getattr(value, "data", value)).__name__


@pytest.mark.parametrize("wrong", [object(), 1.5, [object()], {1.5: None}], ids=kind_of)
def test_every_argument_is_refused_by_its_name(wrong: Any) -> None:
    assert len(ARGUMENTS) > 180
    for name, argument, _ in ARGUMENTS:
        with pytest.raises(UsageError) as caught:
            PUBLIC[name](**{argument: wrong})
        assert caught.value.path == argument and caught.value.rule, (name, argument)
        assert re.fullmatch("give [^=]+", caught.value.remedy), "no placeholder"


@given(st.text(max_size=8) | st.binary() | st.booleans() | st.none())
def test_every_size_is_refused_by_its_name(wrong: Any) -> None:
    """And no process is the -1st."""
    try:
        parse_size(wrong)
        return
    except UsageError:
        pass
    for name, argument, kind in ARGUMENTS:
        optional = "None" in kind and wrong is None
        if kind.startswith("Size") and not optional:
            with pytest.raises(UsageError, match=f"^{argument}: is .*; give a size such as "):
                PUBLIC[name](**{argument: wrong})
        if kind == "Jobs":
            with pytest.raises(UsageError, match=r"^jobs: is 0; give a number from 1 on"):
                PUBLIC[name](**{argument: 0})


ENTRIES = (
    blockpack.Directory("a"),
    blockpack.Symlink("a", "b"),
    blockpack.File("a", 1, MEMORY, b"x", inode=(1, 2)),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)
@pytest.mark.parametrize("wrong", [object(), 1.5, [1], (1, "x"), True], ids=kind_of)
def test_every_field_of_an_entry_is_refused_by_its_name(entry: Any, wrong: Any) -> None:
    tree = Tree()
    for name in type(entry).__match_args__:
        if name != "key" or wrong == [1]:  # whatever has a hash is a key
            with pytest.raises(UsageError) as caught:
                tree.put(evolve(entry, **{name: wrong}))
            assert caught.value.path == name
    assert list(tree) == []
    tree.put(entry)
    with pytest.raises(UsageError, match="is not an entry"):
        tree.put(wrong)


@pytest.mark.parametrize("wrong", [5, None, object(), b"bytes", ["list"]], ids=kind_of)
def test_paths_in_a_tree_or_image(wrong: Any) -> None:
    tree = Tree()
    with blockpack.open_image(LAYOUT) as image:
        for refused in (
            *(lambda: tree.add(wrong, b""), lambda: tree.mkdir(wrong), lambda: tree.remove(wrong)),
            *(lambda: tree.symlink("a", wrong), lambda: tree.join(wrong, Tree())),
            *(lambda: image.read(wrong), lambda: image.root / wrong),
        ):
            with pytest.raises(UsageError, match="is not a path in a tree or image"):
                refused()
        assert wrong not in image and wrong not in tree
    assert list(tree) == []


@pytest.mark.parametrize("wrong", [5, None, object(), ["list"]], ids=kind_of)
def test_sources_and_contents(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not a source"):
        blockpack.scan(wrong)
    with pytest.raises(UsageError, match="is not content for a file"):
        Tree().add("a", wrong)


class Reads:
    """A file object whose reads give just this."""

    def __init__(self, data: object) -> None:
        self.data = data

    def read(self, most: int = -1) -> object:
        return self.data

    def close(self) -> None:
        pass


class Resource:
    """What opens just this."""

    def __init__(self, opened: object) -> None:
        self.opened = opened

    def open(self, mode: str) -> object:
        return self.opened


@pytest.mark.parametrize(
    "opened",
    [
        None,
        3,
        "x",
        b"x",
        [],
        object(),
        io.StringIO("x"),
        *map(Reads, (None, 3, "", "x", b"xyz", memoryview(b"xyzw").cast("H")[:1], [])),
    ],
    ids=kind_of,
)
def test_what_a_callable_opens(opened: Any) -> None:
    """A resource is one, too; and a file object that seeks may give text later on."""
    tree = Tree()
    tree.add("a", lambda: opened, size=1)
    with pytest.raises(UsageError, match=r"^a: .*; (give|open) "):
        blockpack.write(TarVolume().plan(tree), io.BytesIO())
    if not isinstance(getattr(opened, "data", ""), bytes | memoryview):  # which never end
        with pytest.raises(UsageError, match=r"^b: .*; (give|open|leave) "):
            tree.add("b", Resource(opened))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        *((blockpack.FatLimits, {name: ()}) for name in ("types", "fats", "sector_sizes")),
        (blockpack.FatLimits, {"types": (13,)}),
        (blockpack.FatLimits, {"media": [(0, 0)]}),
        (blockpack.TarLimits, {"sector_size": 0}),
        (blockpack.GitLimits, {"object_formats": []}),
        (blockpack.ErofsLimits, {"block_sizes": ()}),
        (blockpack.Profile, {"formats": 3}),
        (blockpack.Profile, {"formats": "fat"}),
    ],
)
def test_a_reader_that_there_cannot_be(limits: Any, wrong: Any) -> None:
    right: Any = {"name": "x", "summary": "y"} if limits is blockpack.Profile else {}
    with pytest.raises(UsageError, match=f"^{min(wrong)}: is .*; give "):
        limits(**right, **wrong)
    with pytest.raises(UsageError, match=f"^{min(wrong)}: is .*; give "):
        limits(**right)._replace(**wrong)


@pytest.mark.parametrize(
    "other", ["fatfs", blockpack.Profile.like("fatfs")], ids=["name", "profile"]
)
def test_a_profile_like_another(other: Any) -> None:
    known = blockpack.FatVolume(profile="fatfs").profile
    made = blockpack.Profile.like(other, name="chip", fat={"types": (16,)})
    assert made._asdict() == {**known._asdict(), "name": "chip", "fat": made.fat}
    assert made.fat._asdict() == {**known.fat._asdict(), "types": (16,)}
    for wrong in ({"formats": 3}, {"fat": 3}, {"fat": {"types": "16"}}):
        with pytest.raises(UsageError, match=r"(formats|fat|types): is .*; give "):
            blockpack.Profile.like(other, **wrong)
    for misspelt in ({"fatt": 3}, {"fat": {"nmes": "ascii"}}):
        with pytest.raises(UsageError, match=r"has no (fatt|nmes); choose from (name|types), "):
            blockpack.Profile.like(other, **misspelt)
    with pytest.raises(UsageError, match="there is no profile 'fatsf'"):
        blockpack.Profile.like("fatsf")


def test_wrong_arguments_and_options_are_told_together() -> None:
    options: Any = {
        "types": ({"pad": 1.5, "mtime": "x", "size": "y"}, 3),
        "values": ({"owner": "x", "align": 3, "profile": "nope"}, 3),
        "both": ({"align": 3, "owner": "x", "epoch": "q"}, 3),
        "combinations": ({"pad": 7, "size": 5, "free": 0}, 3),
    }
    for wrong, count in options.values():
        with pytest.raises(UsageError, match=f"^{count} problems: ") as caught:
            TarVolume(**wrong)
        assert len(caught.value.errors) == count and caught.value.exit_code == 2
    with pytest.raises(blockpack.Problems, match=r"^3 problems: ") as all_wrong:
        blockpack.scan("", exclude="x", symlinks="no", jobs=0)  # type: ignore[arg-type]
    assert [error.path for error in all_wrong.value.errors] == ["exclude", "symlinks", "jobs"]


def test_lists_in_a_profile_are_tuples() -> None:
    formats: Any = ["fat"]
    fat: Any = {"types": [16], "labels": ["A", "B"]}
    made = blockpack.Profile(name="x", summary="y", formats=formats, fat=blockpack.FatLimits(**fat))
    assert hash(made) == hash(made._replace(formats=("fat",))) and made.fat.types == (16,)


@pytest.mark.parametrize("name", [*PROFILES])
def test_our_own_profiles_are_what_others_have_to_be(name: str) -> None:
    def again(value: Any) -> Any:
        if not isinstance(value, tuple):
            return value
        parts = map(again, value)
        return tuple(parts) if type(value) is tuple else type(value)(*parts)

    assert again(PROFILES[name]) == PROFILES[name]


def test_help_tells_the_types_of_limits_as_they_are_written() -> None:
    for made in (blockpack.Profile, blockpack.FatLimits, blockpack.Medium):
        assert "ForwardRef" not in pydoc.render_doc(made)


def test_a_function_that_is_checked_can_be_sent_to_another_process() -> None:
    for name, found in PUBLIC.items():
        if inspect.isfunction(found):
            assert pickle.loads(pickle.dumps(found)) is found, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash_tree": ""},
        {"hash_offset": -1},
        {"hash_offset": 1 << 63},
        *({"root_hash": each} for each in ("", "zz", "0" * 63, "g" * 64)),
    ],
    ids=str,
)
def test_what_is_known_of_hash_trees(wrong: dict[str, Any], tmp_path: Path) -> None:
    image = tmp_path / "image"
    blockpack.write(LAYOUT, image)
    for source in (image, image.read_bytes()):
        with pytest.raises(UsageError):
            blockpack.open_image(source, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"data_block_size": each} for each in (0, -1, 3)),
        *({"hash_block_size": 8192}, {"algorithm": "md5"}, {"uuid": ""}),
    ],
    ids=str,
)
def test_options_of_hash_trees(wrong: dict[str, Any]) -> None:
    for made in (blockpack.verity, blockpack.hash_tree):
        with pytest.raises(UsageError):
            made(LAYOUT, **wrong)
