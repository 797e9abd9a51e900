"""OCaml's compiler takes our devices, with MirageOS' signatures and the real Cmdliner.

MirageOS itself has hundreds of packages; what of its lib/mirage.mli (4.11) we use is written down
here, signature by signature.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.running import Command
from deploy.attach.builds import faked, recorded
from judges.programs import run_silent

MIRAGE = """\
type block
type kv_ro
type kv_rw
type package
type job
type stackv4v6
type network
type 'a typ
type 'a impl
type 'a key
type 'a runtime_arg
val job : job typ
val stackv4v6 : stackv4v6 typ
val kv_ro : kv_ro typ
val ( @-> ) : 'a typ -> 'b typ -> ('a -> 'b) typ
val ( $ ) : ('a -> 'b) impl -> 'a impl -> 'b impl
val package : ?scope:[ `Monorepo | `Switch ] -> string -> package
val main : ?packages:package list -> string -> 'a typ -> 'a impl
val register : string -> job impl list -> unit
val default_network : network impl
val generic_stackv4v6 : ?group:string -> network impl -> stackv4v6 impl
val block_of_file : string -> block impl
val tar_kv_ro : block impl -> kv_ro impl
val tar_kv_rw : block impl -> kv_rw impl
val fat_ro : block impl -> kv_ro impl
val ccm_block : ?nonce_len:int -> string option runtime_arg -> block impl -> block impl
val docteur :
  ?mode:[ `Fast | `Light ] -> ?name:string key -> ?output:string key ->
  ?analyze:bool runtime_arg -> ?branch:string -> ?extra_deps:string list -> string -> kv_ro impl
module Key : sig
  module Arg : sig
    type 'a t
    val opt : 'a Cmdliner.Arg.conv -> 'a -> Cmdliner.Arg.info -> 'a t
  end
  val create : string -> 'a Arg.t -> 'a key
end
module Runtime_arg : sig
  val create :
    pos:string * int * int * int -> ?packages:package list -> string -> 'a runtime_arg
end
"""

TYPES = """
let _ : Mirage.kv_ro Mirage.impl list =
  [ Config.volume_site; Config.volume_Media; Config.volume_type; Config.volume_code ]
let _ : Mirage.kv_ro Mirage.impl list = [ Config.volume_keys; Config.volume_others ]
let _ : Mirage.kv_rw Mirage.impl = Config.volume_log
let _ : Mirage.block Mirage.impl list = [ Config.volume_bundle; Config.volume_hidden ]
let _ : string Cmdliner.Term.t list = [ Unikernel.key_keys; Unikernel.key_others ]
"""


def compiled(directory: Path, *names: str) -> None:
    """Compile the files `names` in `directory`, without a word."""
    run_silent("ocamlc", ["-w", "+a-44-70", "-I", "+cmdliner", "-c", *names], cwd=directory)


@pytest.mark.parametrize("name", ["plain", "o'dd \"*) {| (* ,"])
def test_every_device_has_the_type_that_a_unikernel_wants(
    name: str, tmp_path: Path, command: Command
) -> None:
    directory = tmp_path / name
    directory.mkdir()
    secret = {"secret": True, "cipher": "aes-ccm"}
    recorded(
        directory,
        faked("site", 4096, directory, format="fat", sector_size=4096),
        faked("Media", 4096, directory),
        faked("type", 4096, directory),
        faked("log", 4096, directory),
        faked("code", 4096, directory, format="git", container="docteur"),
        faked("bundle", 4096, directory, format="git", container="bundle"),
        faked("keys", 4096, directory, **secret, key="keys.key"),
        faked("others", 4096, directory, **secret, format="fat"),
        faked("hidden", 4096, directory, **secret, format="git", container="docteur"),
    )
    text = command("attach", directory, "--for", "mirage", "--writable", "log").out.decode()
    assert text.count("ccm_block ~nonce_len:8 ") == 3
    told = re.findall(r"and in unikernel\.ml:\n(.*?) \*\)$", text, re.M | re.S)
    assert len(told) == 3
    (tmp_path / "mirage.mli").write_text(MIRAGE)
    (tmp_path / "config.ml").write_text(text)
    (tmp_path / "unikernel.ml").write_text("\n".join(told))
    (tmp_path / "types.ml").write_text(TYPES)
    compiled(tmp_path, "mirage.mli")
    compiled(tmp_path, "config.ml")
    compiled(tmp_path, "unikernel.ml")
    compiled(tmp_path, "types.ml")
