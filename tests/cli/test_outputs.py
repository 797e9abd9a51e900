"""What a run writes is never what it reads, nor a file that somebody would miss."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

import blockpack
from cli.conftest import settle
from cli.running import FORMATS, Argument, Command, process
from judges.programs import require_module

OLD = b"not to be lost"


@pytest.mark.parametrize("there", [True, False], ids=["over an old one", "new"])
@pytest.mark.parametrize("name", ["o.tar", "./o.tar", "way/o.tar", "symlink"])
def test_image_and_manifest_are_never_one_file(
    command: Command,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    there: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("way").symlink_to(".")
    Path("symlink").symlink_to("o.tar")
    if there:
        Path("o.tar").write_bytes(OLD)
    before = {path.name for path in tmp_path.iterdir()}
    for image, manifest in (("o.tar", name), (name, "o.tar")):
        result = command("pack", source, image, "--format", "tar", "--manifest", manifest, code=2)
        assert f"{Path(manifest)}: is written twice" in result.err
        assert {path.name for path in tmp_path.iterdir()} == before
        assert not there or Path("o.tar").read_bytes() == OLD


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_is_written_to_by_any_name_and_never_replaced(
    command: Command, source: Path, tmp_path: Path, name: str
) -> None:
    """By every command, also where it is a file to which something else was written before."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    name = str(tmp_path / name) if name == "link" else name
    image, made = tmp_path / "o.tar", tmp_path / "made"
    pack = ("pack", source, image, "--format", "tar", "-q")
    command(*pack)
    for words in (
        ("pack", source, name, "--format", "tar", "-q"),
        ("write", image, name, "-q"),
        ("map", image, "--html", name),
        (*pack, "--manifest", name),
    ):
        command(*(made if word is name else word for word in words))
        with open(tmp_path / "out", "wb") as file:
            file.write(b"before\n")
            file.flush()
            process(*words, stdout=file.fileno())
            assert os.fstat(file.fileno()).st_ino == (tmp_path / "out").stat().st_ino
        assert (tmp_path / "out").read_bytes() == b"before\n" + made.read_bytes(), words
    told = process("write", image, name, "--verify", code=5).err
    assert "is a stream, and cannot be read back" in told
    assert "a hash tree goes to a file" in process(*pack, "--verity", name, code=2).err
    for option in ("--manifest", "--bmap"):
        assert "nothing else can go" in process(*pack, "--json", option, name, code=2).err
    plan = ("plan", source, "--format", "tar", "--bmap", name)
    assert "nothing else can go" in process(*plan, code=2).err
    assert not (tmp_path / "-").exists() and not Path("-").exists()


def test_image_and_manifest_are_never_two_names_of_one_file(
    command: Command, source: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "o.tar", tmp_path / "hardlink"
    one.write_bytes(OLD)
    os.link(one, other)
    command("pack", source, one, "--manifest", other, code=2)
    command("pack", source, other, "--format", "tar", "--manifest", one, code=2)
    assert one.read_bytes() == other.read_bytes() == OLD
    assert one.samefile(other)


@pytest.mark.parametrize("manifest", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("image", ["-", "/dev/stdout"])
def test_image_and_manifest_are_never_both_the_standard_output(
    source: Path, tmp_path: Path, image: str, manifest: str
) -> None:
    arguments = ("pack", source, image, "--format", "tar", "--manifest")
    result = process(*arguments, manifest, code=2)
    assert "is written twice" in result.err
    assert result.out == b""
    with open(tmp_path / "o.tar", "wb") as file:
        for name in (manifest, str(tmp_path / "o.tar")):
            process(*arguments, name, code=2, stdout=file.fileno())
    assert (tmp_path / "o.tar").read_bytes() == b""


def test_a_manifest_may_go_where_the_image_does_not(source: Path, tmp_path: Path) -> None:
    options = ("--format", "tar", "--manifest")
    shown = process("pack", source, tmp_path / "x", *options, "/dev/stdout", "-q").out
    piped = process("pack", source, "-", *options, tmp_path / "manifest", "-q").out
    assert (tmp_path / "manifest").read_bytes() == shown
    assert (tmp_path / "x").read_bytes() == piped


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("way", ["", "way/", "source/../"])
def test_no_file_of_the_source_is_overwritten(
    command: Command, source: Path, tmp_path: Path, form: str, way: str
) -> None:
    (tmp_path / "way").symlink_to(".")
    at = Path(f"{tmp_path}/{way}source/index.html")
    before = at.read_bytes()
    result = command("pack", source, at, "--format", form, code=2)
    assert f"{at}: is a file of the source, and would be overwritten" in result.err
    options = ("--format", form, "--manifest", at)
    result = command("pack", source, tmp_path / "x", *options, code=2)
    assert f"{at}: is a file of the source, and would be overwritten" in result.err
    assert not (tmp_path / "x").exists()
    assert at.read_bytes() == before


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_is_no_manifest_and_a_manifest_is_no_image(
    command: Command, source: Path, form: str
) -> None:
    image, manifest = source / "image", source / "manifest"
    options = ("--format", form, "--manifest")
    command("pack", source, image, *options, manifest)
    before = image.read_bytes(), manifest.read_bytes()
    command("pack", source, source / "x", *options, image, code=2)
    command("pack", source, manifest, "--format", form, code=2)
    assert (image.read_bytes(), manifest.read_bytes()) == before
    assert not (source / "x").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_earlier_images_and_manifests_in_the_source_are_replaced(
    command: Command, source: Path, form: str
) -> None:
    options = ("--format", form, "--manifest", source / "pages/manifest.json")
    command("pack", source, source / "image", *options)
    first = (source / "image").read_bytes()
    told = f"warning: {source}/image: is in the source; it is left out, and replaced"
    assert told in command("pack", source, source / "image", *options).messages
    with blockpack.open_image(source / "image") as image:
        assert image.format == form and "image" not in image
    # One of another format may be a file of the source like all others.
    other = "fat" if form == "tar" else "tar"
    result = command("pack", source, source / "image", "--format", other, code=2)
    assert "would be overwritten" in result.err
    (source / "pages/manifest.json").unlink()
    settle(source)
    command("pack", source, source / "image", *options)
    assert (source / "image").read_bytes() == first


@pytest.mark.parametrize("way", ["x.zip", "./x.zip", "symlink", "hardlink"])
def test_an_archive_is_not_overwritten_by_its_own_image(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    require_module("pyfatfs.PyFatFS")  # it brings fs, and is in the tests' requirements
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.writestr("a", b"a")
    Path("symlink").symlink_to("x.zip")
    os.link("x.zip", "hardlink")
    before = Path("x.zip").read_bytes()
    for url in ("zip://x.zip", f"zip://{tmp_path}/x.zip", "zip://%78.zip", "zip://x.zip!/docs"):
        result = command("pack", url, way, "--format", "tar", code=2)
        assert "is the source" in result.err
        result = command("pack", url, "o.tar", "--manifest", way, code=2)
        assert "is the source" in result.err
    assert Path("x.zip").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"x.zip", "symlink", "hardlink"}


@pytest.mark.parametrize("kind", ["osfs", "file"])
def test_an_image_in_a_part_of_its_source_leaves_itself_out(
    command: Command, source: Path, kind: str
) -> None:
    require_module("pyfatfs.PyFatFS")
    for _ in range(2):
        command("pack", f"{kind}://{source}!/pages", source / "pages/x.tar")
        assert b"x.tar" not in command("ls", source / "pages/x.tar").out
    command(
        "pack", f"{kind}://{source}!pages", source / "pages/about us.html", "--format=tar", code=2
    )


@pytest.mark.parametrize("name", ["new.tar/", "file.tar/", "directory/", "directory/new/"])
def test_an_image_is_not_named_like_a_directory(
    command: Command, source: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file.tar").write_bytes(OLD)
    (tmp_path / "directory").mkdir()
    before = {str(path) for path in tmp_path.rglob("*")}
    result = command("pack", source, f"{tmp_path}/{name}", "--format", "tar", code=5)
    assert f"{tmp_path}/{name}: " in result.err
    assert {str(path) for path in tmp_path.rglob("*")} == before
    assert (tmp_path / "file.tar").read_bytes() == OLD


def test_links_in_a_circle_are_no_image(command: Command, source: Path, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for name in ("one", "one/x.tar"):
        at = tmp_path / name
        assert f"{at}: " in command("pack", source, at, "--format", "tar", code=5).err
        options: tuple[Argument, ...] = ("--format", "tar", "--manifest", at)
        assert f"{at}: " in command("pack", source, tmp_path / "x", *options, code=5).err
    assert {path.name for path in tmp_path.iterdir()} <= {"one", "two", "source", "x"}
    assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()


def test_a_file_of_the_source_is_no_earlier_manifest(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "data.json").write_text('{"format": "mine"}')
    image, mine, own = tmp_path / "x.tar", source / "data.json", source / "x.json"
    result = command("pack", source, image, "--manifest", mine, code=2)
    assert "would be overwritten" in result.err and mine.read_text() == '{"format": "mine"}'
    for _ in range(2):
        command("pack", source, image, "--manifest", own)


def files_in(place: Path) -> dict[str, bytes]:
    """All files, and links to files, by their paths."""
    found = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in found}


@pytest.fixture(name="keys")
def fixture_keys(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place with a source, two keys and a certificate, and an old image."""
    monkeypatch.chdir(tmp_path)
    for name in ("sign.pem", "certificate.pem"):
        Path(name).write_bytes(OLD)
    Path("key").write_text("ab" * 32)
    Path("key").chmod(0o600)
    Path("old.tar").write_bytes(OLD)
    Path("directory").mkdir()
    Path("old.tar.roothash.p7s").mkdir()


SIGNED = ("--sign-key", "sign.pem", "--sign-cert", "certificate.pem", "--format", "tar")
PARTITION = ("--partition", "a=source:tar,key-file=key")


@pytest.mark.parametrize(
    "words",
    [
        ("pack", "source", "o.tar", "--bmap", "o.tar"),
        ("pack", "source", "o.tar", "--manifest", "m", "--bmap", "./m"),
        ("pack", "source", "o.tar", "--verity", "v", "--bmap", "directory/../v"),
        ("pack", "source", "o.raw", "--bmap", "o.roothash.p7s", "--verity", *SIGNED),
        ("seed", "source", "o.img", "--manifest", "o.img"),
        ("disk", "o.img", "--partition", "swap,size=1M", "--bmap", "o.img"),
        ("disk", "o.img", *PARTITION, "--manifest", "m", "--bmap", "m"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_no_two_outputs_are_one_file(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = files_in(tmp_path)
    assert "is written twice" in command(*words, code=2).err
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ("pack", "source", "sign.pem", "--verity", *SIGNED),
        ("pack", "source", "o.tar", "--verity", "sign.pem", *SIGNED),
        ("pack", "source", "o.tar", "--verity", "--bmap", "certificate.pem", *SIGNED),
        ("pack", "source", "o.tar", "--key-file", "key", "--bmap", "key"),
        ("disk", "key", *PARTITION),
        ("disk", "o.img", *PARTITION, "--manifest", "key"),
        ("disk", "o.img", *PARTITION, "--plan", "--bmap", "key"),
        ("map", "old.tar", "--html", "key", "--key-file", "key"),
        ("write", "old.tar", "key", "--bmap", "key"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_what_is_read_is_no_target(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = files_in(tmp_path)
    assert "is read, and would be overwritten" in command(*words, code=2).err
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ("pack", "source", "o.tar", "--bmap"),
        ("pack", "source", "o.tar", "--verity"),
        ("disk", "o.img", "--partition", "a=source:tar", "--bmap"),
        ("disk", "o.img", "--partition", "a=source:tar", "--plan", "--bmap"),
        ("plan", "source", "--format", "tar", "--bmap"),
        ("map", "source", "--format", "tar", "--html"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_every_output_is_held_against_the_source(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = files_in(tmp_path)
    told = command(*words, "source/index.html", code=2).err
    assert "is a file of the source, and would be overwritten" in told
    assert files_in(tmp_path) == before


@pytest.mark.usefixtures("keys")
def test_an_earlier_block_map_in_the_source_is_left_out(command: Command) -> None:
    words = ("pack", "source", "o.tar", "--bmap", "source/o.bmap")
    command(*words)
    first = Path("o.tar").read_bytes(), Path("source/o.bmap").read_bytes()
    assert "source/o.bmap: is in the source; it is left out, and replaced" in command(*words).err
    assert (Path("o.tar").read_bytes(), Path("source/o.bmap").read_bytes()) == first
    told = command("plan", "source", "--format", "tar", "--bmap", "source/o.bmap")
    assert Path("source/o.bmap").read_bytes() == first[1] and "is left out" in told.err


@pytest.mark.parametrize(
    "words",
    [
        ("--verity", "nowhere/v"),
        ("--verity", "."),
        ("--verity", "/dev/full"),
        ("--bmap", "nowhere/m"),
        ("--bmap", "directory"),
        ("--manifest", "directory/"),
        ("--verity", *SIGNED),
    ],
)
@pytest.mark.usefixtures("keys")
def test_the_old_image_stays_if_anything_beside_it_cannot_be_written(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = files_in(tmp_path)
    command("pack", "source", "old.tar", *words, code=5)
    assert files_in(tmp_path) == before


@pytest.mark.usefixtures("keys")
def test_a_signature_lies_beside_a_file_alone(command: Command) -> None:
    for image in ("-", "/dev/null"):
        told = command("pack", "source", image, "--verity", *SIGNED, code=2).err
        assert "a signature lies beside the image, which goes to no file" in told


@pytest.mark.usefixtures("keys")
def test_keys_in_the_source_are_in_no_partition(command: Command) -> None:
    Path("key").rename("source/key")
    told = command("disk", "o.img", "--partition", "a=source:tar,key-file=source/key").err
    assert "source/key: is in the source; it is left out, for it is a key" in told
    found = command("ls", "o.img#1", "--key-file", "source/key").lines
    assert "index.html" in found and "key" not in found
