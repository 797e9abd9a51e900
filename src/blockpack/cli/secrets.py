"""``blockpack secrets encrypt``, ``edit``, ``rekey`` and ``audit``."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from ..deploy.secrets.age import SUFFIX
from ..deploy.secrets.editing import wipe_left
from ..deploy.secrets.files import Keeper
from ..deploy.secrets.held_file import MOST_BYTES, HeldFile
from ..deploy.secrets.history import audit
from ..errors import TargetError, UsageError, printable
from ..layers.memory import guarded
from . import flags
from .output import counted, emit, say

STANDARD_INPUT = "-"

EXAMPLE = "blockpack secrets encrypt --remove vault/tls.key"


def arguments(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    encrypt = commands.add_parser("encrypt", help="encrypt files for the manifest's recipients")
    flags.value(encrypt, "files", "FILE", "becomes FILE.age; '-' is standard input", nargs="+")
    encrypt.add_argument("-o", "--output", metavar="FILE.age", help="output file for '-'")
    flags.switch(encrypt, "--remove", "wipe and remove the plain files")
    flags.switch(encrypt, "--force", "replace existing files")
    edit = commands.add_parser("edit", help="edit an encrypted file")
    edit.add_argument("file", metavar="FILE.age")
    rekey = commands.add_parser("rekey", help="encrypt again, for the recipients of today")
    for command in (edit, rekey):
        flags.add(command, "--identity", required=True, help="age or SSH identity that opens it")
    history = commands.add_parser(
        "audit", help="look for plain secrets in the commits on standard input"
    )
    flags.value(history, "repository", "REPO", "repository of the commits")
    flags.value(
        history, "--manifest-of", "REV", "also use the manifest of this revision", action="append"
    )
    for command in (encrypt, edit, rekey):
        flags.value(
            command, "--deployment", "DIR", "directory of the manifest (found from FILE upwards)"
        )


def run(arguments: Namespace) -> int:
    """Run the action, and tidy up after runs that were killed."""
    wipe_left()
    actions = {"encrypt": _encrypt, "edit": _edit, "rekey": _rekey, "audit": _audit}
    return actions[arguments.action](arguments) or 0


def _encrypt(arguments: Namespace) -> int:
    """Encrypt files; the exit code: that of a target where some of one may be left on a disk."""
    kept = False
    targets = _targets(arguments)
    for file in arguments.files:
        if file != STANDARD_INPUT and file.endswith(SUFFIX):
            raise UsageError(file, "already has the name of an encrypted file", "leave it out")
        if arguments.remove and os.path.islink(file):
            rule = "is a link, and --remove would leave what it leads to there in plain"
            remedy = f"name {printable(os.path.realpath(file))} itself"
            raise UsageError(file, rule, remedy)
    keepers = {file: _keeper(arguments, os.path.dirname(targets[file])) for file in targets}
    for keeper in {keeper.manifest_path: keeper for keeper in keepers.values()}.values():
        own = [target for file, target in targets.items() if keepers[file].path == keeper.path]
        _say_for_whom(keeper, own)
    with guarded():
        for file, target in targets.items():
            if file == STANDARD_INPUT:
                keepers[file].encrypt(_standard_input(), target, replace=arguments.force)
            else:
                kept |= _encrypt_file(keepers[file], file, target, arguments)
            say(f"{printable(target)}: encrypted")
    if not arguments.remove and arguments.files != [STANDARD_INPUT]:
        say("what was encrypted is still there in plain; --remove wipes and removes it")
    return TargetError.exit_code if kept else 0


def _encrypt_file(keeper: Keeper, file: str, target: str, arguments: Namespace) -> bool:
    """Encrypt a file; whether its bytes stay on the disk although it was to be removed."""
    with HeldFile.reading(file) as plain:
        if arguments.remove:
            plain.require_removable()
        keeper.encrypt(plain.data, target, replace=arguments.force)
        keeps = plain.remove() if arguments.remove else ""
    if keeps:
        say(f"{printable(file)}: removed, but {keeps} keeps on the disk what it overwrites")
    return bool(keeps)


def _standard_input() -> bytes:
    if sys.stdin is None:  # it was closed when this began
        raise UsageError("", "standard input is closed", "give the secret there")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        rule = f"has more than the {MOST_BYTES >> 20} MiB of a secret"
        raise UsageError("-", rule, "encrypt it in parts")
    return data


def _targets(arguments: Namespace) -> dict[str, str]:
    if (arguments.output is not None) != (STANDARD_INPUT in arguments.files):
        rule = "--output and '-' (standard input) go together"
        raise UsageError("", rule, "give both or neither")
    if arguments.output is not None and len(arguments.files) != 1:
        raise UsageError("", "'-' (standard input) goes alone", "encrypt other files separately")
    name = None if arguments.output is None else os.path.basename(arguments.output)
    if name is not None and (name == SUFFIX or not name.endswith(SUFFIX)):
        rule = f"--output ends in NAME{SUFFIX}, since secret volumes open only such files"
        raise UsageError("", rule, "give such a name")
    return {file: arguments.output or f"{file}{SUFFIX}" for file in arguments.files}


def _edit(arguments: Namespace) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor or editor.isspace():
        raise UsageError("", "there is no editor", "set EDITOR to one")
    keeper = _keeper(arguments, os.path.dirname(os.path.realpath(arguments.file)))
    _say_for_whom(keeper, [arguments.file])
    changed = keeper.edit(arguments.file, arguments.identity, editor)
    say(f"{printable(arguments.file)}: {'encrypted again' if changed else 'unchanged'}")


def _rekey(arguments: Namespace) -> None:
    keeper = _keeper(arguments, os.curdir)
    paths = keeper.encrypted_files()
    _say_for_whom(keeper, [os.path.relpath(path) for path in paths])
    keeper.rekey(arguments.identity, paths)
    for_whom = counted(len(keeper.manifest.recipients), "recipient")
    say(f"{counted(len(paths), 'file')} encrypted again for {for_whom}")


def _audit(arguments: Namespace) -> None:
    commits = [] if sys.stdin is None else sys.stdin.read().split()
    audit(arguments.repository, commits, arguments.manifest_of or ())
    emit(f"no plain secrets in {len(commits):,} commits")


def _say_for_whom(keeper: Keeper, files: list[str]) -> None:
    """Say what is to be written and who will be able to read it, before anything is."""
    say(f"{printable(keeper.manifest_path)} names who can open this:")
    for recipient in keeper.manifest.recipients:
        say(f"  {printable(recipient)}")
    for file in files:
        say(f"{printable(file)}: to be encrypted")


def _keeper(arguments: Namespace, directory: str) -> Keeper:
    if arguments.deployment is not None:
        return Keeper.at(arguments.deployment)
    return Keeper.at_hand(directory or os.curdir)
