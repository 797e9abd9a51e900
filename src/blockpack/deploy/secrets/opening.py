"""The tree of a secret volume with its encrypted files decrypted, in the memory of this process.

A file ``keys/2026.age`` is ``keys/2026`` there. So a link that leads to it, through whatever other
links, loses the suffix as well, from its own name and from the last name in its target.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import ClassVar, NoReturn

from attrs import evolve

from ...errors import BlockpackError, Problems, SecretError, raise_problems
from ...model.entry import Entry, File, Symlink, parent_of
from ...model.extent import Data
from ...model.link_walk import LeadsNowhereError, led_to
from ...model.tree import Tree
from ...reading.extents import file_bytes
from ..manifest.specs import TreeSpec, VolumeSpec
from ..source.deployment import Deployment
from ..source.open_commit import OpenCommit
from .age import SUFFIX, Closed, Identities, has_suffix, is_closed
from .held_file import MOST_BYTES
from .redact import redacted


class SecretStore:
    """What was decrypted of files, each by a number; it stays in this process."""

    __slots__ = ("_data",)

    forkable: ClassVar[bool] = False

    def __init__(self, data: Sequence[bytes]) -> None:
        self._data = data

    def extent(self, file: File, offset: int) -> Data:
        """The bytes themselves."""
        number: int = file.key  # type: ignore[assignment]
        return Data(offset, self._data[number])

    def __repr__(self) -> str:
        return "<SecretStore>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are never given to another process")


def open_tree(
    tree: Tree, spec: TreeSpec, identities: Identities | None, *, committed: bool
) -> tuple[Tree, int]:
    """The tree with its encrypted files decrypted, and the number of others, which what is
    `committed` must not have. Raises `Problems`, and `SecretError` if two files would have one
    name.
    """
    closed, plain = _parted(tree)
    errors: list[BlockpackError] = []
    if plain and committed:
        errors.append(_unencrypted(plain, spec))
    contents = _contents(closed, identities, errors)
    if errors:
        raise Problems(f"volume {spec.name}:", errors)
    return _opened(tree, dict(zip(closed, contents, strict=True))), plain


def require_encrypted(deployment: Deployment, spec: VolumeSpec) -> None:
    """Raise `SecretError` if committed files are not encrypted, by their names or by how they
    begin; none is opened. Raises `BlockpackError` also if there is no such tree.
    """

    def look() -> None:
        closed, plain = _parted(deployment.tree(spec))
        if not isinstance(deployment, OpenCommit):
            return
        if plain:
            raise _unencrypted(plain, spec)
        if _size(closed) <= MOST_BYTES:
            damaged = sum(not is_closed(file_bytes(file)) for file in closed.values())
            raise_problems("", _damaged(damaged))

    redacted(spec, look)


def of_its(count: int) -> str:
    """So many of a volume's files, with a verb for them."""
    return f"{count:,} of its files {'is' if count == 1 else 'are'}"


def encrypted_files(tree: Tree) -> dict[str, File]:
    """The files of a secret volume that a build decrypts, by their paths: those with the suffix,
    and other names (hard links) of the same files.
    """
    files = [entry for entry in tree if isinstance(entry, File)]
    inodes = {file.inode for file in files if has_suffix(file.path)} - {None}
    return {file.path: file for file in files if has_suffix(file.path) or file.inode in inodes}


def _size(files: Mapping[str, File]) -> int:
    return sum(file.size for file in files.values())


def _parted(tree: Tree) -> tuple[dict[str, File], int]:
    """The encrypted files, and the number of the others."""
    closed = encrypted_files(tree)
    return closed, sum(entry.kind == "file" for entry in tree) - len(closed)


def _contents(
    files: Mapping[str, File], identities: Identities | None, errors: list[BlockpackError]
) -> list[bytes]:
    """What is in encrypted files; adds to the errors what keeps them closed."""
    if not files:
        return []
    if identities is None:
        rule = f"{of_its(len(files))} encrypted, and no identity was given"
        errors.append(SecretError("", rule, option="identity=FILE"))
        return []
    if _size(files) > MOST_BYTES:
        rule = f"its encrypted files have more than {MOST_BYTES >> 20} MiB together"
        errors.append(SecretError("", f"{rule}, which are held in memory", "make several volumes"))
        return []
    found = [identities.open(file_bytes(file)) for file in files.values()]
    if others := found.count(Closed.OTHERS):
        rule = f"{of_its(others)} encrypted for others"
        rule += f", and no identity in {identities.name} opens them"
        errors.append(SecretError("", rule, "run 'blockpack secrets rekey'", "identity=FILE"))
    errors += _damaged(found.count(Closed.DAMAGED))
    return [data for data in found if not isinstance(data, Closed)]


def _damaged(count: int) -> Iterator[SecretError]:
    if count:
        rule = f"{of_its(count)} damaged, or not encrypted with age"
        yield SecretError("", rule, "encrypt them again")


def _opened(tree: Tree, contents: Mapping[str, bytes]) -> Tree:
    """The tree with what encrypted files hold in their place, and links that lead there. Raises
    `SecretError` if there is something else of their names.
    """
    store = SecretStore([*contents.values()])
    numbers: dict[object, int] = {}
    changed: dict[str, Entry] = {}
    for number, (path, data) in enumerate(contents.items()):
        file = tree[path]
        assert isinstance(file, File)
        key = numbers.setdefault(file.inode or path, number)  # hard links stay such
        changed[path] = evolve(
            file, path=opened_name(path), size=len(data), store=store, key=key, stamp=0
        )
    changed |= {link.path: opened for link, opened in opened_links(tree, contents)}
    opened = Tree()
    clashes = 0
    for entry in sorted(tree, key=lambda entry: entry.path in changed):
        new = changed.get(entry.path, entry)
        if new.path in opened:
            clashes += 1
        else:
            opened.put(new)
    if clashes:
        rule = f"{of_its(clashes)} named as another file, except for '{SUFFIX}'"
        raise SecretError("", rule, "rename one of the two")
    return opened


def opened_name(path: str) -> str:
    """What an encrypted file, or a link to one, is called where it is decrypted."""
    return path.removesuffix(SUFFIX) if has_suffix(path) else path


def opened_links(tree: Tree, closed: Container[str]) -> Iterator[tuple[Symlink, Symlink]]:
    """The links of `tree` that lead to a file of the paths `closed`, before and after."""
    for link in tree:
        if not isinstance(link, Symlink):
            continue
        named, final = _led_to(tree, link, follow=False), _led_to(tree, link, follow=True)
        if named is not None and final is not None and final.path in closed:
            target = link.target.removesuffix(SUFFIX) if has_suffix(named.path) else link.target
            yield link, evolve(link, path=opened_name(link.path), target=target)


def _led_to(tree: Tree, link: Symlink, *, follow: bool) -> Entry | None:
    """What the target of a link names, or with `follow` leads to in the end; None if that is not
    in the tree.
    """

    def target_of(path: str, is_last: bool) -> str | None:
        found = tree.get(path)
        if isinstance(found, Symlink):
            return None if is_last and not follow else found.target
        if found is None or (found.kind != "directory" and not is_last):
            raise LeadsNowhereError
        return None

    if link.target.startswith("/"):
        return None
    try:
        return tree.get(led_to(parent_of(link.path), link.target, target_of))
    except LeadsNowhereError:
        return None


def _unencrypted(count: int, spec: TreeSpec) -> SecretError:
    rule = f"{of_its(count)} not encrypted, and so known to all who can read the repository"
    where = " ".join(part.path or "." for part in spec.parts)
    listing = f"'git ls-files {where}' shows names without '{SUFFIX}'"
    remedy = f"{listing}: encrypt those with 'blockpack secrets encrypt', or exclude them"
    return SecretError("", rule, remedy)
