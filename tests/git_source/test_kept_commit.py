"""Commits that are kept: the image holds what the repository does, under the very same ids."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

import blockpack
from blockpack import GitVolume, Layout
from blockpack.cli.run import run
from blockpack.sources.git.repository import Repository
from judges import docteur, git_kv, git_pack, git_tools
from judges.git_pack import Pack
from repositories import EXECUTABLE, LINK, Files, GitRepository, git_tree

ObjectFormat = Literal["sha1", "sha256"]


def versions() -> Iterator[Files]:
    """What three commits hold: files that are alike, that go, that come back, and large ones."""
    rng = random.Random(1)
    lines = [rng.randbytes(20).hex() for _ in range(200)]
    noise = rng.randbytes(200_000)
    for number in range(3):
        texts = {}
        for copy in range(5):
            lines[rng.randrange(200)] = f"version {number} of copy {copy}"
            texts[f"texts/{copy}.txt"] = "\n".join(lines).encode()
        yield {
            **texts,
            **{f"small/{n}": b"%d" % (n + number) for n in range(30)},
            **({"gone/old.bin": rng.randbytes(3000)} if number < 2 else {}),
            **({"now and then": b"here"} if number != 1 else {}),
            "noise.bin": noise + b"%d" % number,
            "long.txt": b"a line of text, again and again\n" * 50_000 + b"%d" % number,
            "run": (EXECUTABLE, b"#!/bin/sh\n"),
            "link": (LINK, b"texts/0.txt"),
            "deep/er/still/empty": b"",
        }


def loose(repository: GitRepository) -> GitRepository:
    """Nothing is packed."""
    repository.git("config", "fastimport.unpackLimit", "100000")
    for files in versions():
        repository.commit(files)
    return repository


def packed(repository: GitRepository) -> GitRepository:
    """One pack, with deltas of all that is alike."""
    loose(repository).git("repack", "-adfq", "--window=50")
    return repository


def many_packs(repository: GitRepository) -> GitRepository:
    """A pack a commit, but for the last one, which is loose; deltas are within each."""
    repository.git("config", "fastimport.unpackLimit", "100000")
    *before, last = versions()
    for files in before:
        repository.commit(files)
        repository.git("repack", "-dfq", "--window=50")
    repository.commit(last)
    return repository


def another(repository: GitRepository, name: str) -> GitRepository:
    """An empty repository of the same format beside `repository`."""
    object_format = repository.git("rev-parse", "--show-object-format").decode().strip()
    path = repository.path.parent / name
    return GitRepository.init(path, "--bare", f"--object-format={object_format}")


def fetched(repository: GitRepository) -> GitRepository:
    """As fetches leave it: deltas that name a base by its id, and stand before it."""
    origin = another(repository, "origin")
    repository.git("config", "fetch.unpackLimit", "1")
    for files in versions():
        origin.commit(files)
        repository.git("fetch", "-q", origin.path, "+main:main")
    return repository


def borrowing(repository: GitRepository) -> GitRepository:
    """Most objects are in another repository, packed; the last commit's own are loose."""
    lender = another(repository, "lender")
    *before, last = versions()
    for files in before:
        lender.commit(files)
    lender.git("repack", "-adfq", "--window=50")
    alternates = repository.path / "objects/info/alternates"
    alternates.write_bytes(os.fsencode(lender.path / "objects") + b"\n")
    repository.git("update-ref", "refs/heads/main", lender.oid("main"))
    repository.git("config", "fastimport.unpackLimit", "100000")
    repository.commit(last)
    return repository


def require_form(repository: GitRepository, form: str) -> None:
    """Otherwise tests would show less than they seem to."""
    paths = sorted((repository.path / "objects/pack").glob("*.pack"))
    packs = {"loose": 0, "packed": 1, "many_packs": 2, "fetched": 3, "borrowing": 0}
    assert len(paths) == packs[form]
    if form in ("packed", "fetched"):
        offsets = git_tools.git(repository.path, "verify-pack", "-v", *paths)
        assert offsets.count(b"chain length = ") > 3


FORMS: dict[str, Callable[[GitRepository], GitRepository]] = {
    make.__name__: make for make in (loose, packed, many_packs, fetched, borrowing)
}


MADE = [*((form, "sha1") for form in FORMS), ("loose", "sha256"), ("fetched", "sha256")]


class Made(NamedTuple):
    """A repository with three commits, the form that it has, and its hash."""

    repository: GitRepository
    form: str
    object_format: ObjectFormat

    @property
    def address(self) -> str:
        return f"git:{self.repository.path}"


@pytest.fixture(name="made", scope="module", params=MADE, ids="-".join)
def fixture_made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bare repository of one form; `alone` is the last commit's tree without parents."""
    form, object_format = request.param
    path = tmp_path_factory.mktemp("made") / "repository"
    repository = FORMS[form](GitRepository.init(path, "--bare", f"--object-format={object_format}"))
    require_form(repository, form)
    repository.git("update-ref", "refs/heads/alone", repository.commit_tree("main^{tree}"))
    return Made(repository, form, object_format)


class Case(NamedTuple):
    """What to pack of the repository, and how."""

    container: Literal["docteur", "bundle", "pack"]
    revision: str = "main"
    history: bool = False

    def __str__(self) -> str:
        return "-".join((self.container, self.revision, *(["history"] if self.history else [])))

    @property
    def is_whole(self) -> bool:
        """Whether all commits before come along, if there are any."""
        return self.history or self.revision == "alone"

    def volume(self, object_format: ObjectFormat) -> GitVolume:
        return GitVolume(
            container=self.container, history=self.history, object_format=object_format
        )

    def options(self, object_format: ObjectFormat) -> list[str]:
        options = ["--format", "git", "--container", self.container]
        options += ["--history"] if self.history else []
        return [*options, "--object-format", object_format]


CASES = (
    Case("docteur"),
    Case("docteur", "alone"),
    Case("docteur", history=True),
    Case("bundle", history=True),
    Case("bundle", "alone"),
    Case("pack"),
    Case("pack", "alone"),
)


def every(step: int) -> pytest.MarkDecorator:
    """Repositories with cases: one in `step` of them, each form and each case among them."""
    chosen = [
        (made, case)
        for number, made in enumerate(MADE)
        for case in CASES[number % step :: step]
        if made[1] == "sha1" or case.container != "docteur"  # which knows no other
    ]
    return pytest.mark.parametrize(
        ("made", "case"),
        [pytest.param(made, case, id=f"{'-'.join(made)}-{case}") for made, case in chosen],
        indirect=["made"],
        scope="module",
    )


def expected_objects(repository: GitRepository, case: Case) -> set[bytes]:
    """The ids of all objects that are to be there."""
    if case.history:
        told = repository.git("rev-list", "--objects", "--no-object-names", case.revision)
    else:
        told = repository.git("ls-tree", "-r", "-t", "--format=%(objectname)", case.revision)
        for name in (case.revision, f"{case.revision}^{{tree}}"):
            told += repository.oid(name).encode() + b"\n"
    return {bytes.fromhex(line.decode()) for line in told.split()}


def pack_of(layout: Layout, image: bytes, object_format: str) -> Pack:
    """The pack in an image, which is where the layout says."""
    offset, size = int(layout.geometry["pack_offset"]), int(layout.geometry["pack_size"])
    pack = git_pack.read_pack(image[offset : offset + size], object_format)
    assert pack.size == size and len(pack.objects) == layout.geometry["objects"]
    return pack


@every(2)
def test_an_image_holds_the_commit_and_all_that_it_leads_to(
    made: Made, case: Case, tmp_path: Path
) -> None:
    repository, _, object_format = made
    commit = repository.oid(case.revision)
    layout = case.volume(object_format).plan(git_tree(repository.path, case.revision))
    assert layout.geometry["commit"] == commit
    image = tmp_path / "image"
    blockpack.write(layout, image)
    data = image.read_bytes()

    pack = pack_of(layout, data, object_format)
    expected = expected_objects(repository, case)
    fillers = pack.objects.keys() - expected
    assert expected <= pack.objects.keys() and len(fillers) == (case.container == "bundle")
    assert [oid for oid in pack.objects if oid not in fillers][-1].hex() == commit
    assert not any(isinstance(found.base, bytes) for found in pack.objects.values())
    judge(image, pack, case, made, tmp_path)

    with blockpack.open_image(image) as opened:
        assert opened.verify() == []
        assert opened.info()["commit"] == commit


def judge(image: Path, pack: Pack, case: Case, made: Made, directory: Path) -> None:
    """What git and docteur make of the image is what git makes of the repository."""
    repository, _, object_format = made
    commit = repository.oid(case.revision)
    expected = git_tools.checkout(repository.path, commit, directory / "expected")
    judged = git_tools.init(directory / "judged", object_format)
    if not case.is_whole:
        (judged / "shallow").write_text(f"{commit}\n")
    data = image.read_bytes()
    at = data.index(b"PACK\0\0\0\2")
    git_tools.index_pack(data[at : at + pack.size], judged)
    assert len(git_tools.fsck(judged, commit)) == (case.container == "bundle")
    assert git_tools.checkout(judged, commit, directory / "checkout") == expected
    if case.history:
        command = ("log", "--format=%H %T", commit)
        assert git_tools.git(judged, *command) == repository.git(*command)
    if case.container == "bundle":
        git_tools.verify_bundle(judged, image)
        assert git_tools.clone(image, directory / "clone") == expected
    elif case.container == "pack" and object_format == "sha1":  # git-kv knows no other
        assert git_kv.restore(data)[0].hex() == commit
    elif case == Case("docteur", "alone"):
        assert docteur.check(data, deltas=True).files == expected
    if case.container == "docteur":
        files = {path: data for path, (mode, data) in expected.items() if mode == b"100644"}
        for store in (docteur.Light(data), docteur.Fast(data)):
            assert {key for key, kind in store.walk().items() if kind == "value"} == {*files}
            assert all(store.get(path) == content for path, content in files.items())


@every(4)
def test_the_same_repository_gives_the_same_image_which_verify_finds_equal(
    made: Made, case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"{made.address}@{case.revision}"
    options = case.options(made.object_format)
    for name in ("first", "second"):
        assert run(["pack", "-q", address, str(tmp_path / name), *options]) == 0
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert run(["verify", str(tmp_path / "first"), address]) == 0
    assert "sound, and the same as" in capfd.readouterr().err
    assert run(["verify", str(tmp_path / "first"), address, *options[2:]]) == 0
    assert run(["verify", str(tmp_path / "first"), f"{made.address}@main~1"]) == 1


# What comes as it is packed, and what does not ---------------------------------------------------


@pytest.mark.parametrize("form", ["packed", "fetched"])
def test_what_is_packed_is_not_packed_again(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blobs and trees of the history are taken, deltas too, whichever comes first."""
    repository = FORMS[form](GitRepository.init(tmp_path / "repository", "--bare"))
    asked: list[bytes] = []
    facts = Repository.facts

    def watched(repository: Repository, paths: Mapping[bytes, str]) -> Iterator[Any]:
        asked.extend(paths)
        return facts(repository, paths)

    tree = git_tree(repository.path)
    monkeypatch.setattr(Repository, "facts", watched)
    layout = GitVolume(history=True).plan(tree)
    kinds = {repository.git("cat-file", "-t", oid.hex()).strip() for oid in asked}
    assert kinds <= {b"commit"}  # those on top of the last one, which comes after them
    with layout.open() as file:
        pack = pack_of(layout, file.read(), "sha1")
    deltas = [found for found in pack.objects.values() if found.base is not None]
    assert len(deltas) > 10


def test_a_delta_without_its_base_is_packed_anew(tmp_path: Path) -> None:
    """The last version is whole, and those before are deltas on top of it."""
    repository = packed(GitRepository.init(tmp_path / "repository", "--bare"))
    tree = git_tree(repository.path, "main~2")
    layout = GitVolume().plan(tree)
    with layout.open() as file:
        pack = pack_of(layout, file.read(), "sha1")
    listed = repository.git("verify-pack", "-v", *repository.path.glob("objects/pack/*.pack"))
    deltas = {line.split()[0] for line in listed.splitlines() if len(line.split()) == 7}
    own = {oid.hex().encode() for oid in pack.objects}
    assert len(own & deltas) > sum(found.base is not None for found in pack.objects.values())
    assert own == {
        oid.hex().encode() for oid in expected_objects(repository, Case("pack", "main~2"))
    }


def test_a_pack_without_objects_does_no_harm(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "repository", "--bare")
    commit = repository.commit({"a": b"x"})
    repository.git("pack-objects", "-q", str(repository.path / "objects/pack/pack"))
    assert [*repository.path.glob("objects/pack/*.pack")]
    layout = GitVolume().plan(git_tree(repository.path))
    assert layout.geometry["commit"] == commit
