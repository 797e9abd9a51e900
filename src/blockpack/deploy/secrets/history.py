"""Secrets in clear in commits: what came and went is in the history, and all who fetch have that.

A commit is looked at by what changed in it, in the paths that secret volumes are made from: those
of the manifest of any of the commits. So it costs next to nothing where nothing changed there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from functools import cache

from attrs import frozen

from ...errors import BlockpackError, Problems, SecretError, SourceError, raise_problems
from ...formats.git.objects import EXECUTABLE, FILE, MODES, is_oid
from ...model.entry import decode, encode
from ...sources.exclude import excluding
from ...sources.git.cat_file import CatFile
from ...sources.git.program import ended
from ...sources.git.repository import Repository
from ...sources.options import Excluded
from ..file_names import MANIFEST, MOST_BYTES
from ..manifest.parser import Manifest
from .age import has_suffix, is_closed

_MOST_SHOWN = 20

_MOST_OPENED = 16 << 20
"""Bytes of a file named as an encrypted one that is looked into: no key has more."""

_DIFF = (
    *("--literal-pathspecs", "diff-tree", "--stdin", "--root", "-r", "-c", "--raw", "-z"),
    *("--no-renames", "--no-abbrev", "--"),
)

_LFS = b"version https://git-lfs."


@frozen
class _Part:
    """A part of a secret volume: where it comes from, and what it is called there."""

    volume: str
    path: str
    at: str
    excluded: Excluded | None

    def name_of(self, path: str) -> str | None:
        """What the file at `path` is called in the volume; None if it is not in there."""
        if path == self.path:
            return self.at or path
        prefix = f"{self.path}/" if self.path else ""
        if not path.startswith(prefix):
            return None
        name = path[len(prefix) :]
        above, is_directory = name, False
        while above and self.excluded is not None:
            if self.excluded(above, is_directory):
                return None
            above, is_directory = above.rpartition("/")[0], True
        return name


def audit(path: str, revisions: Sequence[str], manifests_of: Sequence[str] = ()) -> None:
    """See to it that none of these commits of the repository at `path` has a secret in clear, by
    their manifests, and by those of the revisions `manifests_of`.

    Raises `Problems` with the commits in which a file of a secret volume is not encrypted, and
    `SourceError` for a revision that is not there.
    """
    repository = Repository.at(path)
    known = _commits(repository, [*revisions, *manifests_of])
    parts = _parts(repository, known)
    found: Counter[tuple[str, str]] = Counter()
    reader = CatFile(repository)

    @cache
    def is_clear(oid: str) -> bool:
        with suppress(SourceError):  # it is larger
            data = reader.object(oid, oid, _MOST_OPENED)[1]
            return not is_closed(data) and not data.startswith(_LFS)
        return False

    paths = {part.path for part in parts}
    for commit, file, oid in _changes(repository, known[: len(revisions)], paths):
        for part in parts:
            name = part.name_of(file)
            if name is not None and (not has_suffix(name) or is_clear(oid)):
                found[commit, part.volume] += 1
                break
    raise_problems("secrets are in the history in clear", _errors(found))


def _commits(repository: Repository, revisions: Sequence[str]) -> list[str]:
    asked = "".join(f"{revision}^{{commit}}\n" for revision in revisions)
    told = _git(repository, asked, "cat-file", "--batch-check=%(objectname)").splitlines()
    for revision, line in zip(revisions, told, strict=True):
        if not is_oid(line, repository.oid_size):
            raise SourceError(repository.path, f"has no commit {revision!r}", "fetch it")
    return told


def _parts(repository: Repository, commits: Sequence[str]) -> list[_Part]:
    """The parts of secret volumes by the manifests of all `commits` that have a sound one."""
    asked = "".join(f"{commit}:{MANIFEST}\n" for commit in commits)
    told = _git(repository, asked, "cat-file", "--batch-check=%(objecttype) %(objectname)")
    found: dict[tuple[object, ...], _Part] = {}
    reader = CatFile(repository)
    for oid in dict.fromkeys(line[5:] for line in told.splitlines() if line.startswith("blob ")):
        try:
            manifest = Manifest.parse(reader.object(oid, MANIFEST, MOST_BYTES)[1])
        except (Problems, SourceError):  # nothing was, or is, built of that one
            continue
        for spec in manifest.volumes.values():
            for part in spec.parts if spec.secret else ():
                new = _Part(spec.name, part.path, part.at, excluding(spec.exclude))
                found.setdefault((part, spec.exclude), new)
    reader.close()
    return [*found.values()]


def _changes(
    repository: Repository, commits: Sequence[str], paths: Set[str]
) -> Iterator[tuple[str, str, str]]:
    """The files below `paths` that any of the `commits` has as none of its parents has them: the
    commit, the path, and the file's id.
    """
    if not paths:
        return
    below = () if "" in paths else sorted(paths)
    asked = "".join(f"{commit}\n" for commit in commits)
    fields = iter(_git(repository, asked, *_DIFF, *map(encode, below)).split("\0"))
    commit = ""
    for field in fields:
        if not field.startswith(":"):
            commit = field.strip()
            continue
        # As many colons as there are parents; a mode for each and the commit, and likewise ids.
        path = next(fields)
        parents = len(field) - len(field.lstrip(":"))
        facts = field[parents:].split(" ")
        mode, oid = facts[parents], facts[2 * parents + 1]
        if MODES.get(mode.encode()) in (FILE, EXECUTABLE):
            yield commit, path, oid


def _errors(found: Counter[tuple[str, str]]) -> Iterator[BlockpackError]:
    """What is wrong with the commits, the newest first, and how to mend it; no file is named."""
    if not found:
        return
    oldest = [*found][-1][0][:12]
    remedy = (
        "what a later commit encrypts or removes can still be read in these, so rewrite them"
        f" ('git rebase -i {oldest}^', or --root for a first commit, and 'edit'), and change the"
        " secrets: they are known by now"
    )
    shown = [*found.items()][-_MOST_SHOWN:]
    for (commit, volume), count in shown:
        files = "1 file that is" if count == 1 else f"{count:,} files that are"
        rule = f"brings {files} not encrypted into the secret volume {volume}"
        is_last = (commit, volume) == shown[-1][0] and len(shown) == len(found)
        yield SecretError(f"commit {commit[:12]}", rule, remedy if is_last else "")
    if len(found) > _MOST_SHOWN:
        yield SecretError("", f"so do {len(found) - _MOST_SHOWN:,} later ones", remedy)


def _git(repository: Repository, asked: str, *command: str | bytes) -> str:
    done = repository.git(*command, data=encode(asked))
    if done.returncode:
        rule = f"its commits cannot be read: {ended(done.returncode, done.stderr)}"
        raise SourceError(repository.path, rule, repository.fsck)
    return decode(done.stdout)
