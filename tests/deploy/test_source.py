"""Sources of deployments: nothing outside of the tree is read, whatever is in it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from blockpack import BlockpackError, SourceError, UsageError
from blockpack.deploy.building.build import build
from blockpack.deploy.record import FromCommit
from blockpack.deploy.source.open_commit import OpenCommit
from blockpack.deploy.source.open_deployment import open_deployment
from blockpack.deploy.source.open_directory import OpenDirectory
from deploy.deployments import contents, manifest, write_files
from repositories import LINK, SUBMODULE, GitRepository

SECRET = b"a secret of the machine"


@pytest.fixture(name="outside")
def fixture_outside(tmp_path: Path) -> Path:
    """A directory beside the deployment that nobody may read."""
    return write_files(tmp_path / "outside", {"secret": SECRET})


def volume(source: str, more: str = "") -> bytes:
    return manifest(f'[volumes.site]\nsource = {source}\nformat = "tar"\n{more}')


def refused(place: Path | str, out: Path, *wanted: str) -> None:
    """Building must fail, saying so, and leave nothing."""
    with pytest.raises(BlockpackError) as caught:
        build(place, out)
    for text in wanted:
        assert text in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("target", ["../outside", "{outside}", "real"])
@pytest.mark.parametrize("part", ["link", "link/secret", "real/link", "real/link/secret"])
def test_a_part_is_no_link_and_goes_through_none(
    tmp_path: Path, outside: Path, part: str, target: str
) -> None:
    target = target.format(outside=outside)
    place = write_files(
        tmp_path / "d", {"blockpack.toml": volume(f'"{part}"'), "real/secret": b"ours"}
    )
    link = place / ("real/link" if part.startswith("real") else "link")
    if part.startswith("real") and not target.startswith("/"):
        target = f"../{target}"
    link.symlink_to(target)
    refused(place, tmp_path / "dist", "symbolic link")
    repository = GitRepository.init(place)
    repository.git("add", ".")
    repository.git("commit", "--quiet", "-m", "x")
    refused(f"git:{place}@HEAD", tmp_path / "dist", "link")


@pytest.mark.parametrize("target", ["../../outside", "{outside}", "../other", "loop"])
def test_links_are_followed_inside_of_their_part_alone(
    tmp_path: Path, outside: Path, target: str
) -> None:
    place = write_files(
        tmp_path / "d",
        {
            "blockpack.toml": volume('"site"', 'symlinks = "follow"\n'),
            "site/x": b"x",
            "other/y": b"y",
        },
    )
    (place / "site/fine").symlink_to("x")
    build(place, tmp_path / "dist")
    assert contents(tmp_path / "dist/site.img") == {"x": b"x", "fine": b"x"}
    (place / "site/loop").symlink_to(target.format(outside=outside))
    (place / "site/file").symlink_to("../blockpack.toml")
    refused(place, tmp_path / "dist2", "site", "file: is a link that leads outside")


def test_links_that_are_kept_lead_where_they_lead(tmp_path: Path, outside: Path) -> None:
    place = write_files(tmp_path / "d", {"blockpack.toml": volume('"site"'), "site/x": b"x"})
    (place / "site/out").symlink_to(outside / "secret")
    build(place, tmp_path / "dist")
    assert SECRET not in (tmp_path / "dist/site.img").read_bytes()


def test_the_manifest_is_a_file_of_the_tree(tmp_path: Path, outside: Path) -> None:
    place = write_files(tmp_path / "d", {"site/x": b"x"})
    (outside / "blockpack.toml").write_bytes(volume('"site"'))
    (place / "blockpack.toml").symlink_to(outside / "blockpack.toml")
    refused(place, tmp_path / "dist", "blockpack.toml: is a symbolic link")
    (place / "blockpack.toml").unlink()
    os.mkfifo(place / "blockpack.toml")
    refused(place, tmp_path / "dist", "is not a regular file")
    (place / "blockpack.toml").unlink()
    (place / "blockpack.toml").mkdir()
    refused(place, tmp_path / "dist", "blockpack.toml: is not a regular file")
    (place / "blockpack.toml").rmdir()
    (place / "blockpack.toml").write_bytes(b"#" * (1 << 20) + b"##")
    refused(place, tmp_path / "dist", "has no more than")


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"blockpack.toml": (LINK, b"/etc/passwd")}, "is a symbolic link, and should be a file"),
        ({"blockpack.toml/x": b""}, "is a directory, and should be a file"),
        ({"README": b""}, "has no blockpack.toml"),
        ({"blockpack.toml": b"#" * (1 << 21)}, "should have"),
        ({"blockpack.toml": volume('"../outside"')}, "source"),
        ({"blockpack.toml": volume('"/etc"')}, "source"),
        ({"blockpack.toml": volume('"a/../../outside"')}, "source"),
        ({"blockpack.toml": volume('".git"')}, "git's own"),
        ({"blockpack.toml": volume('"gone"')}, "gone: is not in commit"),
        (
            {"blockpack.toml": volume('"sub"'), "sub": (SUBMODULE, b"1" * 40)},
            "sub: is a submodule",
        ),
        (
            {"blockpack.toml": volume('"site"'), "site/sub": (SUBMODULE, b"1" * 40)},
            "is a submodule",
        ),
    ],
)
def test_hostile_commits_are_refused(
    tmp_path: Path, files: dict[str, bytes | tuple[str, bytes]], wanted: str
) -> None:
    repository = GitRepository.init(tmp_path / "bare.git", "--bare")
    repository.commit(files)
    refused(f"git:{repository.path}@main", tmp_path / "dist", wanted)


def test_names_that_lead_out_of_a_commit_are_refused(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "bare.git", "--bare")
    blob = repository.blob(b"x")
    text = repository.blob(volume('"site"'))
    for name in (b"..", b".git", b"a/b"):
        site = repository.raw_tree(("100644", name, blob))
        tree = repository.raw_tree(("100644", b"blockpack.toml", text), ("40000", b"site", site))
        commit = repository.commit_tree(tree)
        refused(f"git:{repository.path}@{commit}", tmp_path / "dist", "no such tree is to be")


def test_nothing_of_a_repository_is_run(tmp_path: Path) -> None:
    """Neither hooks nor filters, nor what its configuration names."""
    files = {
        "blockpack.toml": volume('"site"'),
        "site/x": b"x",
        "site/.gitattributes": b"* filter=evil diff=evil\n",
    }
    repository = GitRepository.init(tmp_path / "r")
    repository.commit(files)
    repository.git("reset", "--hard", "--quiet")
    evil = f"touch {tmp_path / 'run'}"
    for key in (
        "core.fsmonitor",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
    ):
        repository.git("config", key, evil)
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "post-commit"):
        path = repository.path / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{evil}\n")
        path.chmod(0o755)
    build(f"git:{repository.path}@HEAD", tmp_path / "dist")
    build(repository.path, tmp_path / "dist2")
    assert contents(tmp_path / "dist/site.img") == contents(tmp_path / "dist2/site.img")
    assert not (tmp_path / "run").exists()


def test_names_stand_for_directories_or_commits(tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "r", "--bare")
    commit = repository.commit({"blockpack.toml": volume('"site"')})
    with open_deployment(f"git:{repository.path}@main") as opened:
        assert isinstance(opened, OpenCommit)
        assert opened.origin == FromCommit(commit, repository.oid("main^{tree}"))
        again = pickle.loads(pickle.dumps(opened.reopened()))
    with again(1) as other:
        assert other.origin == opened.origin
    (tmp_path / "blockpack.toml").write_bytes(volume('"site"'))
    with open_deployment(tmp_path) as place:
        assert isinstance(place, OpenDirectory)
        place.leave_out(tmp_path / "dist")
        again = pickle.loads(pickle.dumps(place.reopened()))
    assert again.args == (str(tmp_path), ("dist",))
    with pytest.raises(SourceError, match="is a tree; name a commit"):
        open_deployment(f"git:{repository.path}@main^{{tree}}")
    with pytest.raises(UsageError, match="leave out SUBDIR"):
        open_deployment(f"git:{repository.path}@main:sub")
