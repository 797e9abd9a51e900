"""Making secret volumes: planned and written by this process alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from attrs import field, frozen

from ...errors import EntryError, TargetError
from ...layers.ccm import CIPHER, encrypt
from ...layers.keys import read_key, write_key
from ...model.tree import Tree
from ...planning.layout import Layout, LayoutWarning
from ...reading.spool import in_memory
from ...writing.files import free_bytes
from ...writing.place import Place
from ...writing.targets import Seekable, target_errors
from ...writing.transfer import Transfer
from ..file_names import IMAGE
from ..manifest.specs import ImageSpec, TreeSpec
from ..secrets.age import Identities
from ..secrets.opening import of_its, open_tree
from ..secrets.options import Secrets
from ..secrets.redact import redacted
from ..secrets.runtime import make_runtime, nearest, remove_empty, require_ram
from ..source.deployment import Deployment
from ..source.open_commit import OpenCommit
from .build_state import KEY_SUFFIX
from .limit import require_within
from .task import Built, Task, image_record

_KEY_BYTES = 32


@frozen
class SecretPlan:
    """A volume to be written; `plain` of its files were not encrypted where they came from."""

    task: Task
    layout: Layout = field(repr=False)
    plain: int


class SecretBuilds:
    """Plans and makes secret volumes in this process, whose memory is guarded meanwhile. Raises
    `UsageError` and `SourceError` for the identities and the key.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._runtime: Place | None = None
        self._in_runtime = secrets.runtime is not None
        key_file, identity = secrets.key_file, secrets.identity
        self._key = None if key_file is None else read_key(key_file)
        self._identities = None if identity is None else Identities.read(identity)

    def plan(self, task: Task, deployment: Deployment) -> SecretPlan:
        """The volume's image, as it is before it is encrypted. Raises `BlockpackError`."""
        spec = task.spec
        if _in_clear(spec):
            require_ram(spec, nearest(self._home(task)), runtime=self._in_runtime)
        planned = redacted(spec, lambda: self._plan(task, deployment))
        size = planned.layout.size
        redacted(spec, lambda: require_within(spec, size, task.max_size), EntryError)
        return planned

    def _plan(self, task: Task, deployment: Deployment) -> SecretPlan:
        is_commit = isinstance(deployment, OpenCommit)
        plain = 0

        def opened(spec: TreeSpec) -> Tree:
            nonlocal plain
            tree = deployment.tree(spec)
            if not spec.secret:
                return tree
            tree, count = open_tree(tree, spec, self._identities, committed=is_commit)
            plain += count
            return tree

        with in_memory():
            layout = task.spec.plan(opened, epoch=task.epoch)
        require_within(task.spec, layout.size, None)  # not too large to be encrypted
        return SecretPlan(task, layout, plain)

    def _home(self, task: Task) -> str:
        """The directory that the image itself goes into."""
        return (_in_clear(task.spec) and self._secrets.runtime) or task.staging

    # Making --------------------------------------------------------------------------------------

    def make(self, plan: SecretPlan) -> Built:
        """Write the image, and its key if it has one of its own. Raises `BlockpackError`."""
        task = plan.task
        spec = task.spec
        name, key = spec.name + IMAGE, None
        with target_errors(task.staging), Place.own(task.staging, private=True) as staging:
            layout = plan.layout
            if spec.cipher is not None:
                own = self._key
                if own is None:
                    key = f"{spec.name}{KEY_SUFFIX}"
                    own = os.urandom(_KEY_BYTES)
                    with target_errors(key), staging.private(key) as descriptor:
                        write_key(descriptor, own)
                layout = encrypt(layout, own)
            self._write(task, staging, name, layout)
        record = image_record(spec, plan.layout, secret=True, cipher=spec.cipher, key=key)
        return Built(record, tuple(_warnings(plan)))

    def _write(self, task: Task, staging: Place, name: str, layout: Layout) -> None:
        place, spec, home = staging, task.spec, self._home(task)
        path = os.path.join(home, name)
        with target_errors(path):
            if home != task.staging:
                # The link is there first: whatever happens, it tells what there is to be wiped.
                staging.symlink(name, os.path.abspath(path))
                place = self._runtime = self._runtime or make_runtime(home)
            with place.private(name) as descriptor:
                if _in_clear(spec):
                    require_ram(spec, descriptor, runtime=self._in_runtime)
                redacted(spec, lambda: _transfer(layout, path, descriptor), TargetError)

    def close(self) -> None:
        """Let go of the directory in RAM, and remove it if nothing is in it."""
        if self._runtime is not None:
            self._runtime.close()
            remove_empty(os.fsdecode(self._runtime.path))


def _in_clear(spec: ImageSpec) -> bool:
    """Whether nothing but its place protects an image."""
    return spec.cipher is None and not spec.allow_persistent


def _transfer(layout: Layout, path: str, descriptor: int) -> None:
    """Write an image. Raises `TargetError`, for one without holes before the disk is full."""
    free = free_bytes(os.path.dirname(path))
    if layout.format == CIPHER and layout.size > free:
        rule = f"the image takes more than the {free:,} bytes that are free there"
        raise TargetError(path, rule, "free some space, or choose another place")
    with target_errors(path):
        os.ftruncate(descriptor, layout.size)
    with Transfer(Seekable(path, descriptor, holes=True), lambda count: None) as transfer:
        transfer.run(layout)


def _warnings(plan: SecretPlan) -> Iterator[LayoutWarning]:
    if plan.plain:
        rule = f"{of_its(plan.plain)} not encrypted where this was built from"
        told = f"{rule}; run 'blockpack secrets encrypt' on them"
        yield LayoutWarning("", "plain-secret", told)
    if plan.layout.warnings:
        told = "some consumers may not show all of it; details of secrets are never shown"
        yield LayoutWarning("", "secret", told)
