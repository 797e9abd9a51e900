"""Secret volumes: decrypted in memory, packed, and written where they may lie (threat-model.md).

Rule 1: what is decrypted is held by this process alone. No other one is handed it, no temporary
file has it, and no dump of memory.
Rule 2: an image is encrypted, or on a RAM file system, or on a disk because the manifest allows it.
Rule 3: an image and its key are their owner's alone from the first byte on, are shared with
nothing, and are wiped when something takes their place.
Rule 4: nothing is told of what is in a volume: no name, no size, no digest. Errors say how many
files there is something wrong with, and how to find them. What others raise is told without its
text, and not as a cause or a context either.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeVar

from attrs import evolve, field, frozen

from ..entry import Entry, File, name_of
from ..errors import (
    BlockpackError,
    EntryError,
    Problems,
    SecretError,
    SourceError,
    TargetError,
    UsageError,
    printable,
    reason,
)
from ..extent import Data
from ..reading import read_extent
from .age import SUFFIX, Closed, Identities
from .image import Built, Task, out_of_memory
from .memory import guarded
from .private import private_file
from .ramfs import TYPES, file_system
from .record import ImageRecord
from .source import CommitSource
from .state import KEY_SUFFIX
from .wipe import wipe

if TYPE_CHECKING:
    from ..layout import Layout
    from ..tree import Tree
    from .manifest import VolumeSpec
    from .source import DeploymentSource

_T = TypeVar("_T")

MOST_BYTES = 256 << 20
"""Bytes of the encrypted files of a volume, all of which are held in memory."""


RUNTIME = "/run/blockpack"
"""Where deploys put images that are not encrypted, by default."""


@frozen(kw_only=True)
class Secrets:
    """How secret volumes are opened and closed; all are paths.

    `identity` is the file with the identities that open files, `key_file` that of the key to
    encrypt images with; without it each image has a fresh one, in a file beside it. Images that are
    not encrypted go into `runtime`, a directory on a RAM file system, and beside the others is a
    link; without it they go there themselves. The directory is one build's own: it is made, or is
    empty.
    """

    identity: str | None = None
    key_file: str | None = None
    runtime: str | None = None


class SecretContent:
    """What was decrypted of one file; it stays in this process."""

    __slots__ = ("_data",)

    forkable: ClassVar[bool] = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    def extent(self, entry: File, offset: int) -> Data:
        """The bytes themselves."""
        return Data(offset, self._data)

    def __repr__(self) -> str:
        return "<SecretContent>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("what is secret is handed to no other process")


@frozen
class SecretPlan:
    """A volume that is ready to be written.

    `plain` of its files were not encrypted where they came from.
    """

    task: Task
    layout: Layout = field(repr=False)
    plain: int


@contextmanager
def secret_builds(secrets: Secrets) -> Iterator[SecretBuilds]:
    """What builds secret volumes, while the memory of this process is guarded.

    Raises `UsageError` and `SourceError` for the identities and the key.
    """
    with guarded():
        yield SecretBuilds(secrets)


class SecretBuilds:
    """Plans and makes secret volumes in this process."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._key: bytes | None = None
        self._identities: Identities | None = None
        self._has_runtime = False
        if secrets.key_file is not None:
            from ..layers.keys import read_key

            self._key = read_key(secrets.key_file)
        if secrets.identity is not None:
            self._identities = Identities.read(secrets.identity)

    def plan(self, task: Task) -> SecretPlan:
        """The volume's image, as it is before it is encrypted. Raises `BlockpackError`."""
        self._require_place(task)
        return _nameless(task.spec, lambda: self._plan(task))

    def _plan(self, task: Task) -> SecretPlan:
        from ..git.spool import in_memory

        spec = task.spec
        volume = evolve(spec.volume(), epoch=task.epoch)
        # Nothing of that is secret yet; but nobody else has to walk there either.
        tree = task.source.tree(spec, 1)
        opened, plain = self._opened(tree, spec, isinstance(task.source, CommitSource))
        with in_memory():
            layout = volume.plan(opened)
        return SecretPlan(task, layout, plain)

    def _require_place(self, task: Task) -> None:
        """Raise `SecretError` unless the image may lie where it is to go."""
        spec = task.spec
        if spec.cipher is None and not spec.allow_persistent:
            home = _nearest(self._home(task))
            require_ram(spec.name, home, self._secrets.runtime is not None)

    def _home(self, task: Task) -> str:
        """The directory that the image itself goes into."""
        runtime = self._secrets.runtime
        if runtime is None or task.spec.cipher is not None or task.spec.allow_persistent:
            return task.staging
        return runtime

    # Opening -------------------------------------------------------------------------------------

    def _opened(self, tree: Tree, spec: VolumeSpec, committed: bool) -> tuple[Tree, int]:
        """The tree with its encrypted files decrypted, and the number of others.

        Raises `Problems`.
        """
        from ..tree import Tree

        closed = [entry for entry in tree if _is_encrypted(entry)]
        plain = sum(entry.kind == "file" for entry in tree) - len(closed)
        errors: list[BlockpackError] = []
        if plain and committed:
            errors.append(_unencrypted(plain, spec))
        contents = self._contents(closed, errors)
        if errors:
            raise Problems(f"volume {spec.name}:", errors)
        opened = Tree()
        for entry in tree:
            if not _is_encrypted(entry):
                opened.put(entry)
        clashes = 0
        for entry, data in zip(closed, contents, strict=True):
            assert isinstance(entry, File)
            path = entry.path.removesuffix(SUFFIX)
            if path in opened:
                clashes += 1
                continue
            content = SecretContent(data)
            opened.put(evolve(entry, path=path, size=len(data), content=content, inode=None))
        if clashes:
            rule = f"{_of_its(clashes)} named as something else that is there, but for '{SUFFIX}'"
            raise SecretError(f"{rule}; rename one of the two")
        return opened, plain

    def _contents(self, closed: Sequence[Entry], errors: list[BlockpackError]) -> list[bytes]:
        """What is in encrypted files; adds to the errors what keeps them closed."""
        if not closed:
            return []
        if self._identities is None:
            rule = f"{_of_its(len(closed))} encrypted, and there is nothing to open them with"
            errors.append(SecretError(f"{rule}; give --identity FILE"))
            return []
        files = [entry for entry in closed if isinstance(entry, File)]
        if sum(file.size for file in files) > MOST_BYTES:
            rule = f"its encrypted files have more than {MOST_BYTES >> 20} MiB together"
            errors.append(SecretError(f"{rule}, which are held in memory; make several volumes"))
            return []
        contents = []
        failed = dict.fromkeys(Closed, 0)
        for file in files:
            found = self._identities.open(_read(file))
            if isinstance(found, Closed):
                failed[found] += 1
            else:
                contents.append(found)
        if failed[Closed.OTHERS]:
            rule = f"{_of_its(failed[Closed.OTHERS])} encrypted for others"
            remedy = f"no identity in {self._identities.name} opens them: give another one, or"
            errors.append(SecretError(f"{rule}; {remedy} run 'blockpack secrets rekey'"))
        if failed[Closed.DAMAGED]:
            rule = f"{_of_its(failed[Closed.DAMAGED])} damaged, or not encrypted with age"
            errors.append(SecretError(f"{rule}; encrypt them again"))
        return contents

    # Making --------------------------------------------------------------------------------------

    def make(self, plan: SecretPlan) -> Built:
        """Write the image, and its key if it has one of its own. Raises `BlockpackError`."""
        task = plan.task
        spec = task.spec
        layout = plan.layout
        key = None
        if spec.cipher is not None:
            from ..layers.ccm import encrypt

            key = f"{spec.name}{KEY_SUFFIX}" if self._key is None else None
            layout = encrypt(layout, self._key or _fresh_key(task))
        name = f"{spec.name}.img"
        self._write(task, name, layout)
        container = plan.layout.geometry.get("container")
        record = ImageRecord(
            name=spec.name,
            file=name,
            format=spec.format,
            profile=spec.volume().profile.name,
            sector_size=plan.layout.sector_size,
            container=None if container is None else str(container),
            secret=True,
            cipher=spec.cipher,
            key=key,
        )
        return Built(record, tuple(_warnings(plan)))

    def _write(self, task: Task, name: str, layout: Layout) -> None:
        home = self._home(task)
        path = os.path.join(home, name)
        if home != task.staging:
            if not self._has_runtime:
                _make_runtime(home)
                self._has_runtime = True
            # The link is there first: whatever happens, it tells what there is to be wiped.
            _link(os.path.abspath(path), os.path.join(task.staging, name))
        spec = task.spec
        with private_file(path) as descriptor:
            if spec.cipher is None and not spec.allow_persistent:
                require_ram(spec.name, descriptor, self._secrets.runtime is not None)
            _nameless(spec, lambda: _transfer(layout, path, descriptor), TargetError)


def require_encrypted(source: DeploymentSource, spec: VolumeSpec) -> None:
    """Raise `SecretError` if files that are committed are not encrypted, without opening any.

    Raises `BlockpackError` also if there is no such tree.
    """

    def look() -> None:
        tree = source.tree(spec, 1)
        plain = sum(entry.kind == "file" and not _is_encrypted(entry) for entry in tree)
        if plain and isinstance(source, CommitSource):
            raise _unencrypted(plain, spec)

    _nameless(spec, look)


def _transfer(layout: Layout, path: str, descriptor: int) -> None:
    from ..writer.targets import Seekable, target_errors
    from ..writer.transfer import Transfer

    with target_errors(path):
        os.ftruncate(descriptor, layout.size)
    with Transfer(Seekable(path, descriptor, holes=True), lambda count: None) as transfer:
        transfer.run(layout)


def _link(target: str, link: str) -> None:
    try:
        os.symlink(target, link)
    except OSError as error:
        raise TargetError(f"{link}: no link can be made: {reason(error)}") from None


def _fresh_key(task: Task) -> bytes:
    from ..layers.keys import make_key

    return make_key(os.path.join(task.staging, f"{task.spec.name}{KEY_SUFFIX}"))


def _warnings(plan: SecretPlan) -> Iterator[str]:
    if plan.plain:
        rule = f"{_of_its(plan.plain)} not encrypted where this was built from"
        yield f"{rule}; run 'blockpack secrets encrypt' on them"
    if plan.layout.warnings:
        yield "some consumers may not show all that is in it; nothing more is told of secrets"


def _is_encrypted(entry: Entry) -> bool:
    return entry.kind == "file" and entry.path.endswith(SUFFIX) and name_of(entry.path) != SUFFIX


def _read(file: File) -> bytes:
    """The bytes of a file as it is in its source. Raises `SourceError`."""
    data = bytearray(file.size)
    if file.size:
        read_extent(file.content.extent(file, 0), memoryview(data))
    return bytes(data)


def _unencrypted(count: int, spec: VolumeSpec) -> SecretError:
    rule = f"{_of_its(count)} not encrypted, and so known to all who can read the repository"
    where = " ".join(part.path or "." for part in spec.parts)
    listing = f"'git ls-files {where}' shows names without '{SUFFIX}'"
    remedy = f"{listing}: encrypt those with 'blockpack secrets encrypt', or exclude them"
    return SecretError(f"{rule}; {remedy}")


def _of_its(count: int) -> str:
    """So many of a volume's files, with a verb for them."""
    return f"{count:,} of its files {'is' if count == 1 else 'are'}"


# Where an image may lie --------------------------------------------------------------------------


def require_ram(volume: str, place: str | int, runtime: bool) -> None:
    """Raise `SecretError` unless a directory, or an open file, is on a RAM file system.

    `runtime` tells that it is where deploys put images that are not encrypted.
    """
    try:
        found = file_system(place)
    except OSError as error:
        raise SecretError(f"volume {volume}: {place}: {reason(error)}") from None
    if found in TYPES:
        return
    where = "the directory for images in RAM" if runtime else "the directory of the images"
    rule = f"its image is not encrypted, and {where} is on {found}, which is no RAM file system"
    other = "give --runtime-dir on one" if runtime else "build into one, such as /run"
    remedy = f'add cipher = "aes-ccm", or {other}, or allow_persistent = true'
    raise SecretError(f"volume {volume}: {rule}; {remedy}")


# Errors without names ----------------------------------------------------------------------------


def _nameless(spec: VolumeSpec, work: Callable[[], _T], *passed: type[BlockpackError]) -> _T:
    """What `work` returns; whatever it raises becomes an error that tells nothing of the volume.

    Errors of the kinds `passed` name the image alone. This is no context manager: in one of those,
    what was raised would be the context of the new error.
    """
    told: BlockpackError
    kinds: tuple[type[BlockpackError], ...] = (SecretError, *passed)
    try:
        return work()
    except kinds as error:
        told = _of_volume(spec, error)
    except BlockpackError as error:
        told = _without_names(spec, error)
    except MemoryError:
        told = _of_volume(spec, out_of_memory())
    except Exception as error:
        rule = f"blockpack failed ({type(error).__name__}) and tells nothing more, for it is secret"
        told = _of_volume(spec, SecretError(rule))
    raise told


def _of_volume(spec: VolumeSpec, error: BlockpackError) -> Problems:
    return Problems(f"volume {spec.name}:", [_bare(error)])


def _bare(error: BlockpackError) -> BlockpackError:
    """The same error, without where it comes from."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _without_names(spec: VolumeSpec, error: BlockpackError) -> Problems:
    members = error.exceptions if isinstance(error, Problems) else (error,)
    errors: list[BlockpackError] = [_bare(m) for m in members if isinstance(m, SecretError)]
    others = [member for member in members if not isinstance(member, SecretError)]
    for kind, rule, remedy in _KINDS:
        count = sum(isinstance(member, kind) for member in others)
        if count:
            source = " ".join(part.path or "." for part in spec.parts)
            told = f"{count:,} {'problem' if count == 1 else 'problems'}: {rule}"
            errors.append(SecretError(f"{told}; {remedy.format(spec=spec, source=source)}"))
            others = [member for member in others if not isinstance(member, kind)]
    if others:
        errors.append(SecretError("it cannot be packed; nothing more is told of secrets"))
    return Problems(f"volume {spec.name}:", errors)


_SEE = "'blockpack plan {source} --format {spec.format}' tells more, of the files as they are there"
_KINDS: tuple[tuple[type[BlockpackError], str, str], ...] = (
    (EntryError, "it cannot be held by this format or profile, with these options", _SEE),
    (SourceError, "something in its source cannot be read, or changed meanwhile", _SEE),
    (UsageError, "its options do not go with what is in it", _SEE),
    (TargetError, "what it takes to pack it cannot be had", "free some memory"),
)


# What is there -----------------------------------------------------------------------------------


def serves(
    image: ImageRecord, directory: str | os.PathLike[str], spec: VolumeSpec, secrets: Secrets
) -> bool:
    """Whether the image of a secret volume in `directory` is there, and is what `spec` wants.

    Its contents are not compared. With a key file, that is what it must open with.
    """
    path = os.path.join(directory, image.file)
    if (image.secret, image.cipher) != (spec.secret, spec.cipher) or not os.path.isfile(path):
        return False
    if spec.cipher is None:
        return spec.allow_persistent or file_system(path) in TYPES
    if secrets.key_file is None:
        return True  # its own key may have been taken to where it is needed
    from ..layers.ccm_reader import sector_size_of
    from ..layers.keys import read_key

    key = read_key(secrets.key_file)
    with open(path, "rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        size = file.seek(0, os.SEEK_END)
        return sector_size_of(key, read, size, (image.sector_size,)) is not None


def require_key_elsewhere(secrets: Secrets, directory: str) -> None:
    """Raise `UsageError` if the key file is among the images: builds remove keys from there."""
    if secrets.key_file is None:
        return
    above = os.path.dirname(os.path.abspath(secrets.key_file))
    if os.path.realpath(above) == os.path.realpath(directory):
        rule = "is where builds make and remove keys of their own; keep it elsewhere"
        raise UsageError(f"{printable(secrets.key_file)}: {rule}")


def verify(image: ImageRecord, directory: str | os.PathLike[str], secrets: Secrets) -> None:
    """Raise `SecretError` unless the image of a secret volume is sound; all of it is read."""
    from ..image import open_image
    from ..layers.keys import read_key

    key = None
    if image.cipher is not None:
        own = None if image.key is None else os.path.join(directory, image.key)
        key_file = own or secrets.key_file
        key = None if key_file is None else read_key(key_file)
    sound = False
    try:
        with guarded(), open_image(os.path.join(directory, image.file), key=key) as opened:
            sound = not opened.verify()
    except BlockpackError:
        sound = False
    if not sound:
        raise SecretError(f"volume {image.name}: is not what was written; is the disk sound?")


def retire(directory: str | os.PathLike[str]) -> None:
    """Wipe what is secret in a directory of images that is to be removed, and what it links to.

    What others can read is not secret, and what has another name is still in use there.
    Raises `OSError`.
    """
    for root, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(root, name)
            status = os.lstat(path)
            if os.path.islink(path):
                target = os.readlink(path)
                wipe(target)
                _remove_empty(os.path.dirname(target))
                os.unlink(path)
            elif not status.st_mode & 0o077 and status.st_nlink == 1:
                wipe(path)


def _remove_empty(directory: str) -> None:
    """Remove a directory of images in RAM, and the deployment's, once nothing is in them."""
    for each in (directory, os.path.dirname(directory)):
        try:
            os.rmdir(each)
        except OSError:
            return


def for_generation(secrets: Secrets | None, deployment: str, name: str) -> Secrets:
    """How secret volumes of the generation `name` are built: images in the clear go into RAM."""
    known = secrets or Secrets()
    path = os.path.join(known.runtime or RUNTIME, deployment, name)
    return evolve(known, runtime=os.path.abspath(path))


def _nearest(path: str) -> str:
    """The nearest directory above `path` that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _make_runtime(path: str) -> None:
    """Make a directory for images in RAM, its owner's alone; one that is empty will do.

    Raises `SecretError`.
    """
    failed = None
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError, NotADirectoryError):
            os.rmdir(path)
        os.mkdir(path, 0o700)
    except OSError as error:
        failed = f"cannot be made: {reason(error)}; give another --runtime-dir"
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            rule = "is there already, and nothing in this ROOT leads to it"
            failed = f"{rule}; remove it if nothing uses it, or give another --runtime-dir"
    if failed is not None:
        raise SecretError(f"{path}: {failed}")
