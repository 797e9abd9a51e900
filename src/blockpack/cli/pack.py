"""``blockpack pack``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial

from ..errors import UsageError
from ..layers.ccm import encrypt
from ..layers.keys import read_key
from ..planning.layout import Layout
from ..planning.volume import Volume
from . import flags, hash_trees, packing, target
from .output import say_warnings
from .outputs import check_outputs, outputs_of, say_left_out

EXAMPLE = "blockpack pack site www.img --format fat --label WWW --free 10M"


def arguments(parser: ArgumentParser) -> None:
    flags.value(parser, "source", "SOURCE", flags.SOURCE)
    target.add_target(parser)
    target.add_options(parser)
    flags.add(parser, "--key-file", help="encrypt IMAGE with the key in FILE")
    packing.add_options(parser, " (by the suffix of IMAGE)")
    hash_trees.add_verity(parser, beside=True)


def run(arguments: Namespace) -> int:
    target.require_writable(arguments)
    layout = _planned(packing.volume(arguments), arguments)
    sealed = hash_trees.sealed(layout, arguments)
    beside = partial(hash_trees.write_beside, sealed, arguments)
    more = {"verity": arguments.verity} if arguments.verity else {}
    target.write_layout(sealed.layout, arguments, beside, **more)
    return 0


def _planned(volume: Volume, arguments: Namespace) -> Layout:
    """The layout of what is to be written, once it is clear that all of it may be."""
    source: str = arguments.source
    key_file: str | None = arguments.key_file
    beside = hash_trees.files(arguments)
    if key_file is not None and arguments.verity is not None:
        rule = "each sector of an encrypted image is authenticated, and no kernel decrypts it"
        raise UsageError("", rule, "leave out --verity or --key-file")
    if key_file is not None and arguments.manifest is not None:
        raise UsageError("", "a manifest would tell what an encrypted image holds", "leave it out")
    key = None if key_file is None else read_key(key_file)
    keys = [each for each in (key_file, getattr(arguments, "sign_key", None)) if each is not None]
    outputs = check_outputs(
        [source],
        outputs_of(arguments, volume.format, key_file, beside),
        [*keys, getattr(arguments, "sign_cert", None)],
        allow_device=arguments.allow_device,
    )
    layout = packing.layout(volume, arguments, [*outputs, *keys])
    if not arguments.quiet:
        say_left_out([source], outputs, keys)
        say_warnings(layout.warnings)
    return layout if key is None else encrypt(layout, key)
