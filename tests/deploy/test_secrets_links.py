"""Links to encrypted files lead to what was decrypted, by whatever way they lead there."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import Problems, Tree
from blockpack.deploy.secrets.opening import opened_links
from blockpack.model.entry import Symlink
from deploy.secret_deployments import IN_CIPHER, built, sealed, secret_deployment
from judges import ccm
from repositories import LINK, GitRepository

SECRET = b"of the year"

LINKS = {
    "current.age": ("keys/2026.age", "current", "keys/2026"),
    "plain": ("keys/2026.age", "plain", "keys/2026"),
    "chain.age": ("current.age", "chain", "current"),
    "deep/er/up.age": ("../../keys/../chain.age", "deep/er/up", "../../keys/../chain"),
    "keys/beside.age": ("./2026.age", "keys/beside", "./2026"),
    "directory.age": ("keys", "directory.age", "keys"),
    "through": ("directory.age/2026.age", "through", "directory.age/2026"),
    "dangling.age": ("nothing.age", "dangling.age", "nothing.age"),
    "loop.age": ("loop.age", "loop.age", "loop.age"),
    "readme.age": ("keys/README", "readme.age", "keys/README"),
}
"""Links and their targets: as they are kept, and as they are in the image."""


def extracted(dist: Path, place: Path) -> Path:
    """What Python's reader makes of the image."""
    own = bytes.fromhex((dist / "keys.key").read_text())
    plain = ccm.decoded((dist / "keys.img").read_bytes(), own, 512)
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        archive.extractall(place, filter="fully_trusted")
    return place


@pytest.mark.parametrize("committed", [True, False])
def test_kept_links_lead_to_what_was_decrypted(
    tmp_path: Path, keeper: tuple[Path, str], committed: bool
) -> None:
    kept = 'symlinks = "keep"\n'
    files = {"vault/keys/2026.age": sealed(SECRET, keeper[1])}
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER + kept, files)
    for name, (target, _, _) in LINKS.items():
        (place / "vault" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "vault" / name).symlink_to(target)
    source: Path | str = place
    if committed:
        repository = GitRepository.init(tmp_path / "repository", "--bare")
        links = {f"vault/{name}": (LINK, link[0].encode()) for name, link in LINKS.items()}
        manifest = {"blockpack.toml": (place / "blockpack.toml").read_bytes()}
        repository.commit({**manifest, **files, **links})
        source = f"git:{repository.path}@main"
    built(source, tmp_path / "dist", keeper[0])
    found = extracted(tmp_path / "dist", tmp_path / "found")
    for name, target in ((link[1], link[2]) for link in LINKS.values()):
        assert os.readlink(found / name) == target
        if target.startswith(("nothing", "loop", "keys/README")) or name == "directory.age":
            continue
        assert (found / name).read_bytes() == SECRET


def test_hard_links_are_such_to_what_was_decrypted(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    """Also by names that do not say that the file is encrypted."""
    files = {"vault/x.age": sealed(SECRET, keeper[1])}
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER, files)
    for name in ("vault/y.age", "vault/z"):
        os.link(place / "vault/x.age", place / name)
    report = built(place, tmp_path / "dist", keeper[0])
    assert not report.warnings
    found = extracted(tmp_path / "dist", tmp_path / "found")
    assert sorted(os.listdir(found)) == ["x", "y", "z"]
    assert {path.read_bytes() for path in found.iterdir()} == {SECRET}
    assert len({path.stat().st_ino for path in found.iterdir()}) == 1


@pytest.mark.parametrize("name", ["current", "keys/2026"])
def test_a_link_does_not_hide_what_has_its_name(
    tmp_path: Path, keeper: tuple[Path, str], name: str
) -> None:
    files = {"vault/keys/2026.age": sealed(SECRET, keeper[1])}
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER, files)
    (place / "vault/current.age").symlink_to("keys/2026.age")
    (place / "vault" / name).write_bytes(b"other")
    with pytest.raises(Problems) as raised:
        built(place, tmp_path / "dist", keeper[0])
    assert "1 of its files is named as another file" in str(raised.value)


NAMES = st.sampled_from(["a", "b.age", "d/c.age", "d/e", "f.age"])
PARTS = st.sampled_from(["a", "b.age", "d", "c.age", "e", "key.age", "key.age", "..", "."])
TARGETS = st.builds(
    lambda begin, parts: begin + "/".join(parts),
    st.sampled_from(["", "", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
)


@given(st.dictionaries(NAMES, TARGETS, min_size=1))
def test_a_link_leads_there_exactly_if_the_system_follows_it_there(
    links: dict[str, str],
) -> None:
    tree = Tree()
    tree.add("d/key.age", b"")
    for name, target in links.items():
        tree.symlink(name, target)
    found = {before.path: after for before, after in opened_links(tree, {"d/key.age"})}
    with on_disk(tree) as place:
        assert {name for name in links if is_file(place / name)} == set(found)
    opened = Tree()
    opened.add("d/key", b"")
    for name in links:
        opened.put(found.get(name, tree[name]))
    with on_disk(opened) as place:
        assert all(is_file(place / link.path) for link in found.values())


@contextmanager
def on_disk(tree: Tree) -> Iterator[Path]:
    """The tree, extracted, where there is nothing for links that lead out of it."""
    with TemporaryDirectory() as above:
        place = Path(above, "1/2/3/4")
        place.mkdir(parents=True)
        for entry in tree:
            path = place / entry.path
            if isinstance(entry, Symlink):
                path.symlink_to(entry.target)
            elif entry.kind == "file":
                path.touch()
            else:
                path.mkdir()
        yield place


def is_file(path: Path) -> bool:
    """Whether the system follows a link to the one file that there is."""
    try:
        return path.is_file()
    except OSError:
        return False
