"""Git images that git itself made: bundles with tags and branches, packs of many commits."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import blockpack
from blockpack.formats.git.origin import Origin
from hostile.git_images import (
    CONTAINERS,
    FILE,
    Pack,
    copy,
    delta,
    in_docteur,
    insert,
    padded,
)
from repositories import GitRepository


@pytest.fixture(params=["sha1", "sha256"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> GitRepository:
    """A repository of either hash."""
    return GitRepository.init(tmp_path / "either", "--bare", f"--object-format={request.param}")


def bundled(repository: GitRepository, *names: str) -> bytes:
    path = repository.path.parent / "made.bundle"
    repository.git("bundle", "create", "-q", path, *names)
    return path.read_bytes()


def commit_of(data: bytes) -> object:
    with blockpack.open_image(data) as image:
        return image.info()["commit"]


def test_annotated_tags_in_bundles_are_peeled(either: GitRepository) -> None:
    commit = either.commit({"a": b"1"})
    either.git("tag", "-a", "-m", "x", "v5", commit)
    either.git("tag", "-a", "-m", "x", "v6", "v5")
    for names in (["v5"], ["v6"], ["v5", "v6"], ["v5", "main"], ["HEAD", "v6"], ["--all"]):
        data = bundled(either, *names)
        assert commit_of(data) == commit
        with blockpack.open_image(data) as image:
            assert image.read("a") == b"1"
            assert image.verify() == []


def test_of_many_branches_head_is_meant(either: GitRepository) -> None:
    """However long the list of them is."""
    commit = either.commit({"a": b"1"})
    updates = b"".join(
        b"create refs/heads/a-branch-of-a-long-name-%05d %s\n" % (number, commit.encode())
        for number in range(500)
    )
    either.git("update-ref", "--stdin", data=updates)
    head = either.commit({"a": b"2"})
    data = bundled(either, "--all", "HEAD")
    assert data.index(b"\n\n") > 4096
    assert commit_of(data) == head


def test_without_head_it_is_asked_which_branch_is_meant(either: GitRepository) -> None:
    either.commit({"a": b"1"}, branch="one")
    either.commit({"a": b"2"}, branch="two")
    with blockpack.open_image(bundled(either, "one", "two")) as image:
        for ask in (image.info, lambda: list(image)):
            with pytest.raises(blockpack.ImageError, match="heads/one, refs/heads/two") as told:
                ask()
            assert "which one?" in told.value.remedy


def test_a_bundle_without_some_of_its_objects_is_refused(either: GitRepository) -> None:
    first = either.commit({"a": b"1"})
    either.commit({"a": b"2"})
    for names in ([f"{first}..main"], ["--filter=blob:none", "main"]):
        with pytest.raises(blockpack.ImageError, match="without some of the objects"):
            blockpack.open_image(bundled(either, *names))


def packed(repository: GitRepository, *revisions: str) -> bytes:
    asked = "".join(f"{revision}\n" for revision in revisions).encode()
    return repository.git("pack-objects", "--quiet", "--revs", "--stdout", data=asked)


def test_of_a_pack_of_commits_the_last_one_is_meant(either: GitRepository) -> None:
    """In whatever order they are: git puts the last one first."""
    for number in range(5):
        tip = either.commit({"a": b"%d" % number})
    data = padded(packed(either, "main"))
    assert commit_of(data) == tip
    with blockpack.open_image(data) as image:
        assert image.read("a") == b"4"


def test_of_a_pack_with_two_last_ones_it_is_asked_which_is_meant(either: GitRepository) -> None:
    tips = [either.commit({"a": name.encode()}, branch=name) for name in ("one", "two")]
    with (
        blockpack.open_image(packed(either, "one", "two")) as image,
        pytest.raises(blockpack.ImageError, match="2 commits") as told,
    ):
        image.info()
    assert all(tip in str(told.value) for tip in tips)


@pytest.mark.parametrize("container", CONTAINERS)
def test_sixteen_threads_read_the_right_bytes(container: str) -> None:
    """Of deltas as well, which share what they are made from."""
    base = random.Random(5).randbytes(200_000)
    pack = Pack()
    oid = pack.blob(base)
    contents = {"00": base}
    entries = [(FILE, b"00", oid)]
    for number in range(1, 40):
        end = b"%03d" % number
        content = base[: 5_000 * number] + end
        made = delta(len(base), len(content), copy(0, 5_000 * number), insert(end))
        entries.append((FILE, b"%02d" % number, pack.add_delta(made, content, pack.places[oid][0])))
        contents[f"{number:02}"] = content
    data = CONTAINERS[container](pack, pack.commit(pack.tree(*entries)))

    def is_right(seed: int) -> bool:
        chance = random.Random(seed)
        for path in chance.sample(sorted(contents), 12):
            start = chance.randrange(len(contents[path]))
            with image.open(path) as file:
                file.seek(start)
                part = file.read(10_000)
                file.seek(0)
                if (part, file.read()) != (contents[path][start:][:10_000], contents[path]):
                    return False
        return True

    with blockpack.open_image(data) as image, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(is_right, range(64)))


def test_one_blob_is_read_by_many_threads() -> None:
    content = random.Random(1).randbytes(1 << 20)
    pack = Pack()
    data = in_docteur(pack, pack.commit(pack.tree((FILE, b"a", pack.blob(content)))))
    with blockpack.open_image(data) as image, ThreadPoolExecutor(16) as pool:
        reader = image.reader.content(image.file("a"))
        starts = random.Random(2).sample(range(len(content)), 100)
        found = pool.map(lambda start: reader.read_at(start, 5_000), starts)
        assert [*found] == [content[start : start + 5_000] for start in starts]


def test_packs_with_an_index_of_version_1_are_packed(repository: GitRepository) -> None:
    files = {f"{number}": b"%d" % number * 500 for number in range(50)}
    commit = repository.commit(files)
    repository.git("-c", "pack.indexVersion=1", "repack", "-adfq")
    tree = blockpack.scan(f"git:{repository.path}")
    assert isinstance(tree.origin, Origin)
    object_format = tree.origin.repository.object_format
    layout = blockpack.GitVolume(
        container="pack",
        object_format=object_format,  # type: ignore[arg-type]
    ).plan(tree)
    assert layout.geometry["commit"] == commit
    with blockpack.open_image(layout) as image:
        assert image.verify() == []
        assert {path: image.read(path) for path in files} == files
