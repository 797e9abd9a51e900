"""What looks private: files that a volume which is not secret would show to all who get the image.

There is one table of what tells, `RULES` by names and `_INSIDE` by bytes; and a file that nobody
but its owner may read, where that is not just how the user makes all files. What is told of a file
is a guess, and whoever knows better excludes it, or lets it be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase, translate

from attrs import frozen

from ..errors import SourceError
from ..model.entry import File, name_of
from ..model.tree import Tree
from ..planning.layout import LayoutWarning
from ..reading.extents import file_bytes

ENCRYPTED = "is encrypted with age"

RULES: tuple[tuple[str, str], ...] = (
    (ENCRYPTED, "*.age"),
    (
        "looks like a private key",
        "*.key *.ppk *.p8 *.pvk *.privkey privkey* id_[a-z]* ssh_host_*_key secring.*",
    ),
    (
        "looks like a store of keys or passwords",
        "*.p12 *.pfx *.pkcs12 *.jks *.keystore *.bcfks *.kdbx *.kdb *.keychain *.keychain-db",
    ),
    (
        "looks like passwords or tokens",
        ".env .env.* *.env .netrc _netrc .pgpass .my.cnf .htpasswd .git-credentials .npmrc .pypirc"
        " .dockercfg .vault-token .vault_pass* credentials credentials.json client_secret*.json"
        " secrets.y*ml secrets.json secrets.toml kubeconfig *.kubeconfig *.tfvars *.tfstate .s3cfg"
        " .boto wp-config.php",
    ),
)
"""What a name in small letters tells: patterns as those of a shell."""

_DIRECTORY = re.compile(
    r"(?:.*/)?(?:secrets?|vault|private|credentials|\.ssh|\.gnupg|\.aws|\.kube|\.docker)/",
    re.I | re.S,
)
"""Directories in which everything is private."""

_INSIDE: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        "holds a private key",
        re.compile(
            rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|AGE-SECRET-KEY-1"
            rb"|PuTTY-User-Key-File-|\"private_key\"\s*:"
        ),
    ),
    (ENCRYPTED, re.compile(rb"\Aage-encryption\.org/v1\n|\A-----BEGIN AGE ENCRYPTED FILE-----")),
)

_CANDIDATES = re.compile(
    r"\.(?:pem|crt|cer|cert|asc|gpg|json|conf|cnf|cfg|ini|ya?ml|toml|ovpn|tf|properties|bak|old)\Z"
    r"|key|secret|cred|token|pass|priv|ident|account|rsa|25519|\Aid_"
)
"""Names of files that are looked into, where not all are: it costs as much as to pack them."""

_MOST_BYTES = 64 << 10
"""Bytes of the largest file that is looked into."""

_MOST_TOLD = 8
"""Files that there is a warning for each; the others share one."""


_PATTERNS = {pattern: what for what, patterns in RULES for pattern in patterns.split()}
_SUFFIXES = {pattern[1:]: what for pattern, what in _PATTERNS.items() if pattern[:2] == "*."}
_OTHERS = re.compile("|".join(translate(each) for each in _PATTERNS if each[:2] != "*."))

_HARMLESS_NAMES = re.compile(
    "|".join(map(translate, ["*.pub", "*.example", "*.sample", "*.template", "*.dist", "id_*.*"]))
)
"""Names of public files: public keys, and templates."""


@frozen
class Exposed:
    """A file that looks private, what tells so, and the pattern (gitignore) that leaves it out."""

    file: File
    what: str
    pattern: str


def exposed(tree: Tree, *, thorough: bool = False) -> Iterator[Exposed]:
    """The files of `tree` that look private; `thorough` looks into all that are small."""
    by_mode = not _umask() & 0o044
    for entry in tree:
        if isinstance(entry, File) and (what := _told(entry, by_mode, thorough)):
            yield Exposed(entry, what, _pattern(entry.path))


def warnings(tree: Tree) -> Iterator[LayoutWarning]:
    """Warnings for a volume of the files of `tree` that is not secret."""
    found = list(exposed(tree))
    for each in found[:_MOST_TOLD]:
        text = f"{each.what}, and this volume is not secret; exclude it, or make a secret volume"
        yield LayoutWarning(each.file.path, "private", text)
    if found[_MOST_TOLD:]:
        more = f"{len(found) - _MOST_TOLD:,} more files look private, and this volume is not secret"
        yield LayoutWarning("", "private", more)


def _told(file: File, by_mode: bool, thorough: bool) -> str:
    """What tells that a file is private; empty if nothing does."""
    if _DIRECTORY.match(file.path):
        return "is in a directory for private files"
    name = name_of(file.path).lower()
    what = _SUFFIXES.get(name[name.rfind(".") :], "")
    if not what and _OTHERS.match(name):
        what = next(what for pattern, what in _PATTERNS.items() if fnmatchcase(name, pattern))
    if not what and by_mode and not file.mode & 0o077:
        what = "is readable only for its owner"
    if not what and (thorough or _CANDIDATES.search(name)) and file.size <= _MOST_BYTES:
        with suppress(SourceError):  # whoever packs it is told
            data = file_bytes(file)
            what = next((what for what, inside in _INSIDE if inside.search(data)), "")
    return "" if what and _HARMLESS_NAMES.match(name) else what


def _pattern(path: str) -> str:
    """What leaves out files that are named like this one, or just this one."""
    inside = _DIRECTORY.match(path)
    if inside:
        return _exactly(inside[0])
    name = name_of(path)
    for pattern in _PATTERNS:
        if fnmatchcase(name, pattern) and not pattern.endswith("*"):  # or it leaves out too much
            return pattern
    return _exactly(path)


def _exactly(path: str) -> str:
    # A line of a manifest is text: any other character stands for what is none.
    return "/" + "".join(
        f"\\{c}" if c in "\\*?[] " else c if c.isprintable() else "?" for c in path
    )


def _umask() -> int:
    """The permissions that this process takes from what it makes; 0 if the system does not tell."""
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0
