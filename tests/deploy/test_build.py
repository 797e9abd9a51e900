"""`build`: what is built, what is left alone, and what there is if something fails."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

import blockpack
from blockpack import Problems, SourceError, TargetError, UsageError
from blockpack.deploy.building.build import BuildReport, build
from blockpack.deploy.building.task import Task, plan
from blockpack.deploy.record import BuildRecord
from blockpack.deploy.source.deployment import Deployment
from blockpack.deploy.source.inventory import TICK
from blockpack.images.contents import manifest as image_manifest
from blockpack.planning.layout import Layout
from deploy.deployments import FILES, contents, manifest, names, record, write_files
from repositories import GitRepository
from users import ALICE, as_user, public_directory

EXPECTED = {
    *("site.img", "site.json", "media.img", "media.json"),
    *("manifest.json", ".blockpack-build.json"),
}


def stats(directory: Path) -> dict[str, tuple[int, int]]:
    """What tells files from others in their places."""
    found = {path.name: path.stat() for path in directory.iterdir()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def test_volumes_hold_their_files_and_the_record_tells_of_them(
    deployment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    report = build(deployment, out)
    assert report.built == ("site", "media")
    assert names(out) == EXPECTED
    found = record(out)
    assert found["name"] == "www"
    assert found["source"] == {"directory": str(deployment)}
    assert [volume["name"] for volume in found["volumes"]] == ["site", "media"]
    assert contents(out / "site.img") == {
        "index.html": b"<h1>hello</h1>\n",
        "pages/about.html": b"about\n" * 1000,
    }
    assert contents(out / "media.img") == {"film.bin": bytes(range(256)) * 400}
    assert report.record == BuildRecord.read(out)


def test_images_are_those_that_pack_makes(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    tree = blockpack.scan(deployment / "site")
    blockpack.write(blockpack.FatVolume().plan(tree), tmp_path / "site.img")
    assert (tmp_path / "site.img").read_bytes() == (tmp_path / "dist/site.img").read_bytes()


def test_placements_are_those_of_pack(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    layout = blockpack.TarVolume().plan(blockpack.scan(deployment / "media"))
    assert json.loads((tmp_path / "dist/media.json").read_text()) == image_manifest(layout)


def test_placements_tell_where_each_file_is(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    told = json.loads((tmp_path / "dist/media.json").read_text())
    (film,) = [entry for entry in told["entries"] if entry["path"] == "film.bin"]
    image = (tmp_path / "dist/media.img").read_bytes()
    assert image[film["offset"] :][: film["size"]] == bytes(range(256)) * 400


def test_parts_are_joined_where_the_manifest_says(tmp_path: Path) -> None:
    write_files(
        tmp_path / "d",
        {
            "blockpack.toml": manifest(
                """
                [volumes.all]
                format = "tar"
                source = [
                    {path = "site"},
                    {path = "shared", at = "static/shared"},
                    {path = "robots.txt", at = "bots.txt"},
                ]
                """
            ),
            "site/index.html": b"i",
            "site/static/x": b"x",
            "shared/logo": b"l",
            "robots.txt": b"r",
        },
    )
    repository = GitRepository.init(tmp_path / "d")
    repository.git("add", ".")
    repository.git("commit", "--quiet", "-m", "x")
    expected = {
        "index.html": b"i",
        "static/x": b"x",
        "static/shared/logo": b"l",
        "bots.txt": b"r",
    }
    build(tmp_path / "d", tmp_path / "one")
    assert contents(tmp_path / "one/all.img") == expected
    build(f"git:{tmp_path / 'd'}@HEAD", tmp_path / "other")
    assert contents(tmp_path / "other/all.img") == expected
    assert (tmp_path / "one/all.img").read_bytes() == (tmp_path / "other/all.img").read_bytes()


def test_the_whole_tree_may_be_a_volume_with_the_images_in_it(tmp_path: Path) -> None:
    place = write_files(
        tmp_path / "d",
        {
            "blockpack.toml": manifest('[volumes.all]\nsource = "."\nformat = "tar"\n'),
            "index.html": b"i",
        },
    )
    GitRepository.init(place)
    build(place, place / "out" / "dist")
    expected = {"index.html", "blockpack.toml"}
    assert set(contents(place / "out/dist/all.img")) == expected
    assert build(place, place / "out/dist").unchanged == ("all",)
    (place / "index.html").write_bytes(b"j")
    assert build(place, place / "out/dist").built == ("all",)
    assert set(contents(place / "out/dist/all.img")) == expected


@pytest.mark.parametrize("out", [".", "..", "site", "site/dist"])
def test_images_do_not_go_where_nothing_would_be_left_to_build(
    deployment: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if out == "site/dist":  # a part of its own is left out of what is around it
        build(deployment, deployment / out)
        assert "dist" not in str(contents(deployment / out / "site.img").keys())
        return
    before = sorted(deployment.rglob("*"))
    with pytest.raises((UsageError, Problems)):
        build(deployment, deployment / out)
    assert sorted(deployment.rglob("*")) == before


def test_a_commit_is_built_without_a_working_tree(tmp_path: Path, deployment: Path) -> None:
    repository = GitRepository.init(tmp_path / "bare.git", "--bare")
    files = {
        str(path.relative_to(deployment)): path.read_bytes()
        for path in deployment.rglob("*")
        if path.is_file()
    }
    commit = repository.commit(files)
    out = tmp_path / "dist"
    assert build(f"git:{repository.path}@main", out).built == ("site", "media")
    found = record(out)
    assert found["source"] == {"commit": commit, "tree": repository.oid("main^{tree}")}
    assert all(volume["fingerprint"] for volume in found["volumes"])
    assert build(f"git:{repository.path}@main", out).unchanged == ("site", "media")
    repository.commit(files | {"site/index.html": b"new", "README": b"r"})
    before = stats(out)
    report = build(f"git:{repository.path}@main", out)
    assert (report.built, report.unchanged) == (("site",), ("media",))
    assert stats(out)["media.img"] == before["media.img"]
    assert record(out)["source"]["commit"] == repository.oid("main")


# What changed ------------------------------------------------------------------------------------


def test_a_second_run_touches_nothing(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    before = stats(out)
    report = build(deployment, out)
    assert (report.built, report.unchanged) == ((), ("site", "media"))
    assert stats(out) == before


def rebuilt(deployment: Path, out: Path) -> tuple[str, ...]:
    report: BuildReport = build(deployment, out)
    record(out)
    return report.built


def test_only_what_changed_is_built_again(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    film, page = deployment / "media/film.bin", deployment / "site/pages/about.html"

    before = film.stat()
    film.write_bytes(bytes(256 * 400))
    os.utime(film, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same size and time
    assert rebuilt(deployment, out) == ("media",)
    assert contents(out / "media.img") == {"film.bin": bytes(256 * 400)}

    page.rename(page.with_name("more.html"))
    assert rebuilt(deployment, out) == ("site",)
    (deployment / "site/new").write_bytes(b"")
    assert rebuilt(deployment, out) == ("site",)
    (deployment / "site/new").unlink()
    assert rebuilt(deployment, out) == ("site",)
    (deployment / "site/empty").mkdir()
    assert rebuilt(deployment, out) == ("site",)
    (deployment / "site/index.html").chmod(0o600)
    assert rebuilt(deployment, out) == ("site",)
    assert rebuilt(deployment, out) == ()


def test_an_image_that_is_gone_or_changed_is_built_again(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    (out / "site.img").unlink()
    assert rebuilt(deployment, out) == ("site",)
    (out / "media.json").write_text("{}")
    assert rebuilt(deployment, out) == ("media",)
    (out / "media.img").write_bytes((out / "media.img").read_bytes()[::-1])
    assert rebuilt(deployment, out) == ("media",)
    (out / "manifest.json").unlink()
    assert rebuilt(deployment, out) == ("site", "media")
    (out / "manifest.json").write_text("no")
    assert rebuilt(deployment, out) == ("site", "media")
    (out / ".blockpack-build.json").write_text('{"schema": 1, "volumes": 3}')
    assert rebuilt(deployment, out) == ("site", "media")
    assert rebuilt(deployment, out) == ()


def test_an_image_that_got_another_mode_is_kept_and_one_that_was_written_to_is_not(
    deployment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    image = out / "media.img"
    inode = image.stat().st_ino
    image.chmod(0o640)  # as libvirt does, when a machine starts
    assert rebuilt(deployment, out) == ()
    assert image.stat().st_ino == inode
    assert rebuilt(deployment, out) == ()
    before = image.stat()
    with open(image, "r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rebuilt(deployment, out) == ("media",)


def test_a_manifest_that_says_something_else_has_that_volume_built(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    text = (deployment / "blockpack.toml").read_text()
    (deployment / "blockpack.toml").write_text(f"# a remark\n{text}")
    assert rebuilt(deployment, out) == ()
    (deployment / "blockpack.toml").write_text(f"{text}align = 4096\n")
    assert build(deployment, out, only=["site"]).built == ()
    assert rebuilt(deployment, out) == ("media",)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert rebuilt(deployment, out) == ("site", "media")


def test_times_of_directories_count_where_they_are_kept(tmp_path: Path) -> None:
    text = '[volumes.{0}]\nsource = "s"\nformat = "tar"\nmtime = "{0}"\n'
    place = write_files(
        tmp_path / "d",
        {
            "blockpack.toml": manifest(text.format("keep") + text.format("fixed")),
            "s/below/x": b"x",
        },
    )
    build(place, tmp_path / "dist")
    os.utime(place / "s/below", (1, 1))
    assert build(place, tmp_path / "dist").built == ("keep",)


def test_volumes_that_are_no_more_are_removed_if_we_made_them(
    deployment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "media2.img").write_text("mine")
    build(deployment, out)
    text = (deployment / "blockpack.toml").read_text()
    (deployment / "blockpack.toml").write_text(text.replace("volumes.media", "volumes.film"))
    report = build(deployment, out, only=["site"])
    assert not report.removed
    (out / "media.json").write_text("mine now")
    report = build(deployment, out)
    assert (report.built, report.removed) == (("film",), ("media.img",))
    assert names(out) - EXPECTED == {"notes.txt", "media2.img", "film.img", "film.json"}
    assert names(out) >= {"media.json"}
    assert [volume["name"] for volume in record(out)["volumes"]] == ["site", "film"]


def test_only_what_is_named_is_looked_at(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    assert build(deployment, out, only=["media"]).built == ("media",)
    assert [volume["name"] for volume in record(out)["volumes"]] == ["media"]
    assert build(deployment, out).built == ("site",)
    (deployment / "media/film.bin").write_bytes(b"")
    (deployment / "site/index.html").write_bytes(b"")
    assert build(deployment, out, only=["media"]).built == ("media",)
    assert build(deployment, out).built == ("site",)
    with pytest.raises(Problems) as caught:
        build(deployment, out, only=["a", "b"])
    assert re.search("no volume 'a'.*\n.*no volume 'b'", str(caught.value))


def test_nothing_is_read_while_the_clock_may_show_its_time_again(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a later change could have the same time, and would never be seen."""
    film = deployment / "media/film.bin"
    ages: list[int] = []

    def noting(task: Task, deployment: Deployment) -> Layout:
        ages.append(time.time_ns() - film.stat().st_ctime_ns)
        return plan(task, deployment)

    monkeypatch.setattr("blockpack.deploy.building.build.plan", noting)
    for number in range(5):
        film.write_bytes(bytes([number]) * 100)
        assert build(deployment, tmp_path / "dist", jobs=1).built[-1] == "media"
        assert contents(tmp_path / "dist/media.img") == {"film.bin": bytes([number]) * 100}
    assert min(ages) >= TICK


# What goes wrong ---------------------------------------------------------------------------------


def test_all_problems_of_all_volumes_are_told_before_anything_is_written(tmp_path: Path) -> None:
    text = "".join(
        f'[volumes.{name}]\nsource = "{source}"\nformat = "fat"\n'
        for name, source in {"good": "good", "names": "names", "nowhere": "nowhere"}.items()
    )
    place = write_files(
        tmp_path / "d",
        {
            "blockpack.toml": manifest(text),
            "good/x": b"",
            "names/a:b": b"",
            "names/con*": b"",
        },
    )
    out = tmp_path / "dist"
    with pytest.raises(Problems) as caught:
        build(place, out)
    told = str(caught.value)
    for wanted in ("names", "a:b", "con*", "nowhere"):
        assert wanted in told
    assert not out.exists()


def test_a_directory_without_a_manifest_is_no_deployment(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no blockpack\.toml; write one"):
        build(tmp_path, tmp_path / "dist")
    with pytest.raises(SourceError, match="is not a directory"):
        build(tmp_path / "nowhere", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_if_a_volume_fails_the_others_are_there_and_the_record_tells_the_truth(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    old = (out / "media.img").read_bytes()
    write_files(deployment, {"site/index.html": b"new", "media/film.bin": b"new"})
    make = blockpack.deploy.building.task.make  # type: ignore[attr-defined]

    def failing(task: object, *arguments: object) -> object:
        if "media" in repr(task):
            raise TargetError("", "no space left there")
        return make(task, *arguments)

    monkeypatch.setattr("blockpack.deploy.building.executors.make", failing)
    with pytest.raises(Problems) as caught:
        build(deployment, out)
    assert re.search("volume media:\n.*no space left", str(caught.value))
    assert contents(out / "site.img")["index.html"] == b"new"
    assert (out / "media.img").read_bytes() == old
    assert len(record(out)["volumes"]) == 2
    assert names(out) == EXPECTED
    monkeypatch.undo()
    assert build(deployment, out).built == ("media",)


def test_a_second_run_at_once_is_refused(deployment: Path, tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "dist"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(TargetError, match="another run is building there"):
            build(deployment, out)
    finally:
        os.close(descriptor)
    build(deployment, out)


@pytest.mark.parametrize("mode", [0o555, 0o333])
def test_a_directory_that_may_not_be_used_is_told(mode: int) -> None:
    with public_directory(mode=0o777) as place:
        write_files(place / "deployment", FILES)

        def building() -> None:
            (place / "dist").mkdir()
            (place / "dist").chmod(mode)
            build(place / "deployment", place / "dist")

        with pytest.raises(TargetError, match=r"dist: .*permission denied"):
            as_user(ALICE, building)
        assert not names(place / "dist")


def test_what_a_killed_run_left_is_removed(deployment: Path, tmp_path: Path) -> None:
    write_files(
        tmp_path / "dist",
        {
            ".blockpack-0123456789abcdee.tmp/site.img": b"half",
            ".blockpack-0123456789abcdef.tmp": b"",
        },
    )
    build(deployment, tmp_path / "dist")
    assert names(tmp_path / "dist") == EXPECTED
