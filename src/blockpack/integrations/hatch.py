"""The build hook of hatchling: volumes of a deployment become files of a wheel.

    [build-system]
    requires = ["hatchling", "blockpack"]

    [tool.hatch.build.targets.wheel.hooks.blockpack]
    into = "www/images"

Only hatchling imports this module, by the entry point ``blockpack`` of its group ``hatch``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.plugin import hookimpl

from ..deploy.building.build import build
from ..deploy.manifest.document import nearest
from ..deploy.source.open_deployment import open_deployment
from ..errors import BlockpackError, UsageError, raise_problems

OPTIONS = ("directory", "into", "only", "keep-in")
"""The hook's own options, as docs/deploy/build.md tells them."""

_HATCHLINGS = (
    *("dependencies", "require-runtime-dependencies", "require-runtime-features"),
    "enable-by-default",
)


@frozen
class Options:
    """What the project wants: volumes (`only` these, if there are any), and where they come from.

    `directory` is the deployment's, `into` one in the wheel, `keep_in` where images are kept for
    the next build; all are relative, but for `keep_in`, which may be empty: then none are kept.
    """

    directory: str
    into: str
    only: tuple[str, ...]
    keep_in: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Options:
        """The options in the hook's table. Raises `Problems` with all that is wrong with it."""
        raise_problems("the build hook of blockpack", list(_problems(config)))
        return cls(
            directory=config.get("directory", os.curdir),
            into=config["into"],
            only=tuple(config.get("only", ())),
            keep_in=config.get("keep-in", ""),
        )


def _problems(config: Mapping[str, Any]) -> Iterator[UsageError]:
    for name in config:
        if name not in OPTIONS and name not in _HATCHLINGS:
            near = nearest(name, OPTIONS)
            meant = f"did you mean {near!r}?" if near else f"choose from {', '.join(OPTIONS)}"
            yield UsageError("", f"there is no option {name!r}", meant)
    for name in ("directory", "into", "keep-in"):
        if not isinstance(config.get(name, ""), str):
            yield UsageError("", f"{name!r} is a path, as a text")
    only = config.get("only", [])
    if not isinstance(only, list) or not all(isinstance(name, str) for name in only):
        yield UsageError("", "'only' is not a list of texts", "give names of volumes")
    into = config.get("into", "")
    if not into:
        yield UsageError("", "'into' is missing", "give a directory in the wheel")
    elif isinstance(into, str) and (into.startswith("/") or ".." in into.split("/")):
        rule = f"'into' leads out of the wheel: {into!r}"
        yield UsageError("", rule, "give a directory in the wheel")


class BlockpackBuildHook(BuildHookInterface[BuilderConfig]):
    """Builds volumes and adds their images to the wheel, each as ``INTO/VOLUME.img``.

    The record of the build stays out: it names a directory of this machine. Of secret volumes there
    are none in a wheel. An editable wheel gets no images, for its files are the project's own.
    """

    PLUGIN_NAME = "blockpack"

    _temporary: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is to be in the wheel; end the build, with all that is wrong, if it fails."""
        if self.target_name != "wheel":
            self.app.abort("blockpack: images go into wheels; put the hook under targets.wheel")
        if version == "editable":
            self.app.display_info("blockpack: an editable wheel has no images; build them yourself")
            return
        try:
            images = self._images(Options.of(self.config))
        except BlockpackError as error:
            self.app.abort(f"blockpack: {error}")
        build_data["force_include"].update(images)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the images, now that they are in the wheel, unless they are to be kept."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _images(self, options: Options) -> dict[str, str]:
        """Where each image is, and where it belongs in the wheel."""
        if options.keep_in:
            directory = os.path.join(self.root, options.keep_in)
        else:
            self._temporary = TemporaryDirectory(prefix="blockpack-")
            directory = self._temporary.name
        with open_deployment(os.path.join(self.root, options.directory)) as deployment:
            errors = [
                UsageError(spec.title, "is secret", "name the others in 'only'")
                for spec in deployment.manifest.images.values()
                if spec.secret and spec.name in (options.only or [spec.name])
            ]
            raise_problems("secrets do not belong into wheels", errors)  # which are for all
            report = build(deployment, directory, only=options.only)
        for told in report.told():
            self.app.display_warning(f"blockpack: {told}")
        into = options.into.rstrip("/")
        return {
            os.path.join(directory, image.file): f"{into}/{image.file}"
            for image in report.record.volumes
            if image.name in (options.only or [image.name])
        }


@hookimpl
def hatch_register_build_hook() -> type[BlockpackBuildHook]:
    """What hatchling asks a plugin for."""
    return BlockpackBuildHook
