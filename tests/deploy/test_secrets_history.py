"""A secret that is in clear in any commit is found, and what is not secret is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockpack import Problems, SourceError
from blockpack.deploy.secrets.history import audit
from repositories import LINK, Files, GitRepository

CLOSED = b"age-encryption.org/v1\n-> X25519\n"

MANIFEST = b"""
[deployment]
name = "www"
[volumes.site]
source = "site"
format = "tar"
[volumes.keys]
source = [{ path = "keys" }, { path = "one", at = "one.age" }, { path = "two.age", at = "two" }]
exclude = ["*.md", "/drafts/"]
format = "tar"
secret = true
"""

HARMLESS: dict[str, bytes] = {
    "blockpack.toml": MANIFEST,
    "keys/x.age": CLOSED,
    "keys/armored.age": b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    "keys/in/lfs.age": b"version https://git-lfs.github.com/spec/v1\n",
    "keys/README.md": b"plain",
    "keys/drafts/plain": b"plain",
    "one": CLOSED,
    "site/tls.key": b"plain",
    "keyserver/plain": b"plain",
}

CLEAR: tuple[dict[str, bytes], ...] = (
    {"keys/tls.key": b"SECRET"},
    {"keys/deep/er/x": b"SECRET"},
    {"keys/x.age": b"SECRET"},  # by its name alone
    {"keys/.age": CLOSED},
    {"one": b"SECRET"},
    {"two.age": CLOSED},  # called otherwise in the volume
    {"keys/in/drafts/plain": b"SECRET"},
    {"keys/Größe\n\ttab": b"SECRET"},
)


@pytest.fixture(name="repository")
def fixture_repository(tmp_path: Path) -> GitRepository:
    return GitRepository.init(tmp_path / "repository", "--bare")


def commits(repository: GitRepository, *words: str) -> list[str]:
    return repository.git("rev-list", *(words or ("--all",))).decode().split()


def found(repository: GitRepository, asked: list[str], *manifests_of: str) -> list[str]:
    """The commits in which there is a secret in clear."""
    try:
        audit(str(repository.path), asked, manifests_of)
    except Problems as problems:
        told = [error.path for error in problems.errors if error.path]
        assert "SECRET" not in str(problems) and "tls.key" not in str(problems)
        return [next(oid for oid in asked if oid.startswith(path.split()[1])) for path in told]
    return []


def test_what_is_encrypted_or_not_secret_is_not_found(repository: GitRepository) -> None:
    repository.commit({**HARMLESS, "keys/link": (LINK, b"x.age")})
    repository.commit({})
    assert found(repository, commits(repository)) == []


@pytest.mark.parametrize("clear", CLEAR)
def test_what_came_and_went_is_found(repository: GitRepository, clear: Mapping[str, bytes]) -> None:
    repository.commit(HARMLESS)
    bad = repository.commit({**HARMLESS, **clear})
    repository.commit(HARMLESS)
    assert found(repository, commits(repository)) == [bad]
    assert found(repository, [bad]) == [bad]


def test_it_is_found_whichever_commit_says_that_it_is_secret(repository: GitRepository) -> None:
    bad = repository.commit({"keys/tls.key": b"SECRET", "blockpack.toml": b"no manifest"})
    repository.commit(HARMLESS)
    assert found(repository, commits(repository)) == [bad]
    assert found(repository, [bad]) == []
    assert found(repository, [bad], "main") == [bad]


def test_what_only_a_merge_brings_is_found(repository: GitRepository) -> None:
    base = repository.commit(HARMLESS)
    repository.git("branch", "side", base)
    repository.commit({**HARMLESS, "site/a": b"a"})
    repository.commit({**HARMLESS, "site/b": b"b"}, branch="side")
    tree = repository.commit({**HARMLESS, "keys/evil": b"SECRET"}, branch="evil")
    parents = ("-p", "main", "-p", "side")
    merge = repository.git("commit-tree", "-m", "x", *parents, f"{tree}^{{tree}}").decode().strip()
    assert found(repository, commits(repository, merge)) == [merge]


def test_a_merge_of_what_is_there_already_is_none(repository: GitRepository) -> None:
    """What is in the repository cannot be kept out of it."""
    old = repository.commit({**HARMLESS, "keys/old": b"SECRET"})
    new = repository.commit(HARMLESS, branch="other")
    parents = ("-p", new, "-p", old)
    merge = repository.git("commit-tree", "-m", "x", *parents, f"{old}^{{tree}}").decode().strip()
    assert found(repository, commits(repository, merge, "--not", old)) == []


@pytest.mark.parametrize("revision", ["1" * 40, "zzz", "-x", "main^{tree}", "main:one"])
def test_what_is_not_a_commit_is_an_error(repository: GitRepository, revision: str) -> None:
    repository.commit(HARMLESS)
    for asked, manifests_of in (([revision], ()), ((), [revision])):
        with pytest.raises(SourceError, match="has no commit"):
            audit(str(repository.path), asked, manifests_of)


NAMES = ("keys/a", "keys/b.age", "keys/c/d", "keys/c/d.md", "site/e")
TREES = st.lists(st.dictionaries(st.sampled_from(NAMES), st.just(CLOSED)), min_size=1, max_size=5)


@settings(max_examples=10)
@given(TREES)
def test_each_commit_is_found_that_brings_a_plain_file(trees: list[dict[str, bytes]]) -> None:
    """By what git itself says of each tree."""
    with TemporaryDirectory() as place:
        repository = GitRepository.init(Path(place) / "repository", "--bare")
        expected: list[str] = []
        before: set[str] = set()
        for tree in trees:
            files: Files = {"blockpack.toml": MANIFEST, **tree}
            oid = repository.commit(files)
            names = repository.git("ls-tree", "-r", "--name-only", oid, "keys/").decode().split()
            plain = {name for name in names if not name.endswith((".age", ".md"))}
            expected[:0] = [oid] if plain - before else []
            before = plain
        asked = commits(repository)
        assert found(repository, asked) == expected
