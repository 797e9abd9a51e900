"""``blockpack serve``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..errors import ImageError, UsageError
from ..serving.export import Servable
from ..serving.serve import serve
from . import flags, hash_trees, packing
from .output import emit, flush_output, say, say_warnings
from .run import Terminated

EXAMPLE = "blockpack serve site --format fat --socket www.sock"


def arguments(parser: ArgumentParser) -> None:
    flags.value(
        parser, "source", "SOURCE", "what is packed; or, without --format, an image or a deployment"
    )
    flags.value(parser, "--socket", "PATH", "a Unix socket, for this user alone")
    flags.value(parser, "--listen", "HOST:PORT", "a TCP address")
    parser.add_argument("--name", default="", help="the export's name (the default export)")
    flags.add(parser, "--jobs", help="processes that scan (auto)")
    flags.add(parser, "--quiet")
    packing.add_options(parser)
    hash_trees.add_verity(parser)


def run(arguments: Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; connections finish what they are at."""

    def ready(addresses: Sequence[str]) -> None:
        for address in addresses:
            say(f"serving {address}")

    told = None if arguments.quiet else ready
    with suppress(Terminated), _exports(arguments) as exports:
        serve(exports, arguments.socket, listen=arguments.listen, ready=told, log=say)
    return 0


@contextmanager
def _exports(arguments: Namespace) -> Iterator[Mapping[str, Servable]]:
    if arguments.format is None:
        from ..deploy.attach.exports import exports, is_deployment  # which a source has no use for

        if is_deployment(arguments.source):
            if arguments.name:
                raise UsageError("", "volumes of a deployment have names", "leave --name out")
            with exports(arguments.source, say, arguments.jobs) as found:
                yield found
            return
    yield {arguments.name: _servable(arguments)}


def _servable(arguments: Namespace) -> Servable:
    """The layout that is asked for; without a format, the image at the path that is given."""
    if arguments.format is None:
        from ..images.open_image import open_image  # as above

        try:
            open_image(arguments.source).close()
        except ImageError as error:  # it may be encrypted, and is served as it is
            if not arguments.quiet:
                say(f"warning: {error.path or arguments.source}: {error.rule}")
        return str(arguments.source)
    hash_trees.files(arguments)
    layout = packing.layout(packing.volume(arguments), arguments)
    sealed = hash_trees.sealed(layout, arguments)
    if sealed.root_hash:
        emit(sealed.root_hash)
        flush_output()
    if not arguments.quiet:
        say_warnings(layout.warnings)
    return sealed.layout
