"""examples/mirage-www, as far as Debian's OCaml builds it: the image, and what serves it.

MirageOS' libraries are not in Debian. What the example uses of them stands in here, signature by
signature: lwt, mirage-kv 6, tcpip, and in `mirage.config` what `mirage configure` knows.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.attach.test_mirage import MIRAGE, compiled
from deploy.deployments import contents, write_files
from judges.programs import require
from pages import DOCS, blocks, install_command, sections

EXAMPLE = Path(__file__).parents[2] / "examples" / "mirage-www"
PAGE = DOCS / "deploy" / "mirage-www.md"

LIBRARIES = {
    "dune": "(library (public_name lwt) (modules lwt))\n"
    "(library (public_name ptime) (modules ptime))\n"
    "(library (name tcpip) (modules tcpip))\n"
    "(library (name mirage_kv) (public_name mirage-kv) (modules mirage_kv) (libraries lwt ptime))\n"
    "(library (name tar_file) (modules tar_file) (libraries mirage-kv))\n",
    "lwt.ml": """\
type 'a t = 'a
let return x = x
module Syntax = struct
  let ( let* ) x f = f x
  let ( let+ ) x f = f x
end
""",
    "ptime.ml": "type t = float\n",
    "tcpip.ml": "module Stack = struct module type V4V6 = sig type t end end\n",
    "mirage_kv.ml": """\
module Key : sig type t val v : string -> t val to_string : t -> string end = struct
  type t = string
  let v path = path
  let to_string path = path
end
module type RO = sig
  type nonrec error = private [> `Not_found of Key.t ]
  type t
  type key = Key.t
  val get : t -> key -> (string, error) result Lwt.t
  val last_modified : t -> key -> (Ptime.t, error) result Lwt.t
end
""",
    "tar_file.ml": """\
(* The plain headers of a tar, which is all that short names take. *)
type error = [ `Not_found of Mirage_kv.Key.t ]
type t = (string * (float * string)) list
type key = Mirage_kv.Key.t

let connect image =
  let file = open_in_bin image in
  let rec entries found =
    let header = really_input_string file 512 in
    let text at length = List.hd (String.split_on_char '\\000' (String.sub header at length)) in
    if header.[0] = '\\000' then found
    else
      let number at length = int_of_string ("0o" ^ String.trim (text at length)) in
      let size = number 124 12 in
      let data = really_input_string file ((size + 511) / 512 * 512) in
      let entry = (text 0 100, (float (number 136 12), String.sub data 0 size)) in
      entries (if header.[156] = '0' then entry :: found else found)
  in
  entries []

let find part store key =
  match List.assoc_opt (Mirage_kv.Key.to_string key) store with
  | None -> Lwt.return (Error (`Not_found key))
  | Some entry -> Lwt.return (Ok (part entry))

let get store key = find snd store key
let last_modified store key = find fst store key
""",
}

SERVE = """\
module Site = Www.Make (Tar_file)

let () =
  let store = Tar_file.connect Sys.argv.(1) in
  for number = 2 to Array.length Sys.argv - 1 do
    let path = Sys.argv.(number) in
    match Site.loader store path with
    | Site.Not_found -> Printf.printf "404 %s\\n" path
    | Site.Found { last_modified; body } ->
        let time = Option.fold ~none:0. ~some:Fun.id last_modified in
        Printf.printf "200 %s %.0f %s\\n" path time Digest.(to_hex (string body))
  done
"""


class Site:
    """A copy of the example in `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("_build", "main.css"))
        self.image = place / "_build/default/images/asset.img"

    def build(self) -> None:
        subprocess.run(["dune", "build"], cwd=self.place, check=True, timeout=120)

    def packed(self) -> dict[str, bytes]:
        """What is in the image that a build makes."""
        self.build()
        return contents(self.image)

    def assets(self) -> dict[str, bytes]:
        """What is to be in there."""
        root = self.place / "asset"
        paths = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    require("dune")
    install_command(tmp_path / "bin", monkeypatch)
    return Site(tmp_path / "www")


def test_what_is_generated_is_in_the_image_of_a_fresh_checkout(site: Site) -> None:
    first = site.packed()
    assert first == site.assets() and b"max-width" in first["main.css"]
    shutil.rmtree(site.place / "_build")
    (site.place / "asset/main.css").unlink()
    assert site.packed() == first


def test_the_image_follows_what_is_generated_and_what_is_committed(site: Site) -> None:
    site.build()
    (site.place / "template/page.css").write_text("main { color: red }\n")
    assert b"red" in site.packed()["main.css"]
    write_files(site.place, {"asset/js/more.js": b"1"})
    (site.place / "asset/robots.txt").unlink()
    packed = site.packed()
    assert packed == site.assets() and "js/more.js" in packed and "robots.txt" not in packed


def test_the_site_serves_from_the_image_what_is_in_its_assets(site: Site) -> None:
    write_files(site.place / "stubs", {name: text.encode() for name, text in LIBRARIES.items()})
    write_files(
        site.place,
        {
            **{f"{name}.opam": b"" for name in ("lwt", "ptime", "mirage-kv")},
            "serve/serve.ml": SERVE.encode(),
            "serve/dune": b"(executable (name serve) (libraries www tar_file))\n",
            "mirage/dune": b"(library (name unikernel) (modules unikernel)"
            b" (libraries www tcpip lwt mirage-kv))\n",
        },
    )
    site.build()
    assets = site.assets()
    done = subprocess.run(
        [site.place / "_build/default/serve/serve.exe", site.image, *assets, "gone.css"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    *found, missing = [line.split() for line in done.stdout.splitlines()]
    assert missing == ["404", "gone.css"]
    assert {path: digest for _, path, _, digest in found} == {
        path: hashlib.md5(data).hexdigest() for path, data in assets.items()
    }
    times = {path: int(time) for _, path, time, _ in found}
    for path, time in times.items():
        assert time == int((site.place / "_build/default/asset" / path).stat().st_mtime)


def test_mirages_configuration_has_the_types_of_mirage(tmp_path: Path) -> None:
    (tmp_path / "mirage.mli").write_text(MIRAGE)
    shutil.copy(EXAMPLE / "mirage/config.ml", tmp_path)
    compiled(tmp_path, "mirage.mli")
    compiled(tmp_path, "config.ml")


def test_the_page_shows_the_example() -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    texts = [re.sub(r"\s+", " ", path.read_text("utf-8")) for path in files]
    for heading, section in sections(PAGE).items():
        for language in ("ocaml", "dune", "toml"):
            for block in blocks(section, language):
                shown = re.sub(r"\s+", " ", block).strip()
                assert heading == "Before" or any(shown in text for text in texts), block
