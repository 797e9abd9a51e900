"""``blockpack pack``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import UsageError, printable
from ..layers.ccm import encrypt
from ..layers.keys import read_key
from ..planning.layout import Layout
from ..planning.volume import Volume
from . import flags, hash_trees, packing, target
from .output import emit, say
from .overwrites import check_outputs, replaced

EXAMPLE = "blockpack pack site www.img --format fat --label WWW --free 10M"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("source", metavar="SOURCE", help=flags.SOURCE)
    target.add_target(parser)
    target.add_options(parser)
    flags.add_key(parser, "encrypt IMAGE with the key in FILE")
    packing.add_options(parser, " (by the suffix of IMAGE)")
    hash_trees.add_verity(parser, beside=True)


def run(arguments: Namespace) -> int:
    """Pack the source into the image."""
    image = target.file_of(arguments)
    layout = _planned(packing.volume(arguments), arguments, image)
    sealed = hash_trees.sealed(layout, arguments)
    target.write_layout(sealed.layout, arguments, **sealed.json)
    hash_trees.write_beside(sealed, arguments)
    if sealed.root_hash and not arguments.json:
        (say if image is None else emit)(sealed.root_hash)
    return 0


def _planned(volume: Volume, arguments: Namespace, image: str | None) -> Layout:
    """The layout of what is to be written to `image`; None is standard output."""
    key_file: str | None = arguments.key_file
    beside = hash_trees.files(arguments)
    if key_file is None:
        manifest = arguments.manifest
        outputs = check_outputs(
            arguments.source, image, manifest, format=volume.format, beside=beside
        )
        return _plan(volume, arguments, outputs)
    if arguments.verity is not None:
        rule = "each sector of an encrypted image is authenticated, and no kernel decrypts it"
        raise UsageError("", rule, "leave out --verity or --key-file")
    if arguments.manifest is not None:
        raise UsageError("", "a manifest would tell what an encrypted image holds", "leave it out")
    key = read_key(key_file)
    outputs = check_outputs(arguments.source, image, None, format=volume.format, key_file=key_file)
    return encrypt(_plan(volume, arguments, [*outputs, key_file]), key)


def _plan(volume: Volume, arguments: Namespace, left_out: list[str]) -> Layout:
    layout = packing.layout(volume, arguments, left_out)
    if not arguments.quiet:
        for output in replaced(arguments.source, left_out):
            say(f"warning: {printable(output)}: is in the source; it is left out, and replaced")
        for warning in layout.warnings:
            say(f"warning: {warning}")
    return layout
