"""MirageOS 4: the devices of a ``config.ml`` (mirage's lib/mirage.mli, 4.9 and later).

``block_of_file NAME`` is Solo5's device NAME, the disk for ``@BLOCK:NAME@`` in xl's skeleton, and
on Unix the file NAME. Its readers accept less than others do: see the profile ``mirage``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..file_names import DISK
from ..manifest.unikernel_limits import mirage_device
from .consumer import Consumer, key_place
from .disks import Disk

NONCE = 8
"""Bytes of the nonces in encrypted sectors."""

_DOCTEUR = """\
let docteur_of name source =
  let key option default =
    Key.create option (Key.Arg.opt Cmdliner.Arg.string default (Cmdliner.Arg.info [ option ]))
  in
  docteur ~name:(key (name ^ "-disk") name) ~output:(key (name ^ "-output") (name ^ ".img")) source
"""


class Mirage(Consumer):
    """A unikernel's configuration."""

    def lines(self) -> Iterator[str]:
        """A definition a volume, ``volume_NAME``, that is the device to hand to the unikernel."""
        yield "open Mirage"
        if any(mirage_device(disk) == "docteur" for disk in self.disks):
            yield ""
            yield from _DOCTEUR.splitlines()
        for disk in self.disks:
            yield ""
            yield from _definition(disk)

    def notes(self) -> Iterator[str]:
        """None: a configuration names no files, and keys are mentioned where they are used."""
        yield from ()


def _definition(disk: Disk) -> Iterator[str]:
    name = disk.name
    block = f'block_of_file "{name}"'
    device = mirage_device(disk)
    if device == "docteur" and not disk.encrypted:
        yield "(* mirage makes an image of this directory, too; attach the one that was built *)"
        yield f'let volume_{name} = docteur_of "{name}" "relativize://{name}"'
        return
    if disk.encrypted:
        yield from _key(disk)
        block = f"ccm_block ~nonce_len:{NONCE} key_{name} ({block})"
    if device in ("block", "docteur"):
        inside = f"{disk.format}, as {disk.container}" if disk.container else disk.format
        what = "a disk with partitions" if disk.format == DISK else inside
        yield f"(* {what}: a block, for a reader in the unikernel *)"
        yield f"let volume_{name} = {block}"
    else:
        yield f"let volume_{name} = {device} ({block})"


def _key(disk: Disk) -> Iterator[str]:
    """The key as an argument at run time: never in the configuration, nor in the kernel."""
    name, what = disk.name, "the text " if disk.key is not None else ""
    given = f"--{name}-key=KEY, {what}{key_place(disk)}"
    for mark, harmless in (("*)", "* )"), ("(*", "( *"), ('"', "''"), ("{", "(")):
        given = given.replace(mark, harmless)  # OCaml looks for strings and its end in a comment
    yield f"(* start the unikernel with {given};"
    yield "   and in unikernel.ml:"
    yield f"     let key_{name} ="
    yield f'       let doc = Cmdliner.Arg.info ~doc:"Key of {name}, in hex." [ "{name}-key" ] in'
    yield "       Cmdliner.Arg.(required & opt (some string) None doc) *)"
    yield f'let key_{name} = Runtime_arg.create ~pos:__POS__ "Unikernel.key_{name}"'
