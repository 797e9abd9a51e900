"""`blockpack.toml` says what it should, or everything that is wrong with it, line by line."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import FatVolume, GitVolume, ManifestError, Problems, TarVolume
from blockpack.deploy.file_names import MOST_BYTES
from blockpack.deploy.manifest import tree_tables
from blockpack.deploy.manifest.document import MOST_PROBLEMS
from blockpack.deploy.manifest.parser import MOST_VOLUMES, VOLUME_KEYS, Manifest
from blockpack.deploy.manifest.specs import Part, VolumeSpec, volume_of
from blockpack.deploy.manifest.tree_tables import MOST_PATTERNS
from deploy.manifests import (
    AGE,
    BEYOND_THE_SCHEMA,
    DEPLOYMENT,
    FAT,
    FULL,
    GIT,
    SOUND,
    SSH,
    TAR,
    WRONG,
)
from hostile.ordeal import in_time


def complaints(text: str | bytes) -> list[str]:
    """All that is said of a manifest that is wrong, without the file's name."""
    with pytest.raises(Problems) as caught:
        Manifest.parse(text)
    assert caught.value.exit_code == 2
    assert all(isinstance(error, ManifestError) for error in caught.value.exceptions)
    lines = [str(error) for error in caught.value.exceptions]
    assert all(line.startswith("blockpack.toml:") for line in lines)
    return [line.removeprefix("blockpack.toml:") for line in lines]


def complaint(text: str | bytes) -> str:
    (only,) = complaints(text)
    return only


# What it says ------------------------------------------------------------------------------------


def test_a_manifest_says_what_to_build() -> None:
    manifest = Manifest.parse(FULL)
    assert manifest == Manifest(
        name="www",
        recipients=(AGE, SSH),
        volumes={
            "site": VolumeSpec(
                name="site",
                parts=(Part("site"),),
                format="fat",
                options={"profile": "mirage", "free": 16 << 20},
                exclude=("*.psd",),
            ),
            "media": VolumeSpec(
                name="media",
                parts=(Part("media"), Part("more/video.mp4", "video/more.mp4")),
                format="tar",
                options={"align": 4096, "mtime": "keep"},
                symlinks="follow",
            ),
            "history": VolumeSpec(
                name="history",
                parts=(Part(""),),
                format="git",
                options={
                    "container": "pack",
                    "size": 64 << 20,
                    "compression": "9",
                    "oneffs": True,
                },
                submodules="skip",
            ),
            "keys": VolumeSpec(
                name="keys", parts=(Part("secrets"),), format="tar", secret=True, cipher="aes-ccm"
            ),
        },
    )
    assert list(manifest.volumes) == ["site", "media", "history", "keys"]
    assert Manifest.parse(FULL.encode()) == manifest


def test_specs_make_volumes() -> None:
    volumes = {
        name: volume_of(spec.format, **spec.options)
        for name, spec in Manifest.parse(FULL).volumes.items()
    }
    assert volumes == {
        "site": FatVolume(profile="mirage", free=16 << 20),
        "media": TarVolume(align=4096, mtime="keep"),
        "history": GitVolume(container="pack", size=64 << 20, compression=9, oneffs=True),
        "keys": TarVolume(),
    }


def test_a_manifest_goes_to_other_processes() -> None:
    manifest = Manifest.parse(FULL)
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    error = ManifestError("a.toml", 3, "volumes", "is wrong", "right it")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a.toml:3: volumes: is wrong; right it"


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_sound_manifests_are_taken(text: str) -> None:
    for spec in Manifest.parse(text).volumes.values():
        volume_of(spec.format, **spec.options)


def test_numbers_and_words_are_one_value() -> None:
    as_number, as_word = (Manifest.parse(f"{FAT}fat-type = {value}\n") for value in ("16", "'16'"))
    assert as_number == as_word


def test_windows_lines_and_marks_are_no_matter() -> None:
    text = b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode()
    assert Manifest.parse(text) == Manifest.parse(FULL)


def test_the_time_of_building_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "not a number")
    Manifest.parse(FULL)


# What is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [*WRONG.values(), *BEYOND_THE_SCHEMA.values()],
    ids=[*WRONG, *(f"{name} (beyond the schema)" for name in BEYOND_THE_SCHEMA)],
)
def test_wrong_manifests_are_refused_with_a_line_of_theirs(text: str) -> None:
    for found in complaints(text):
        line = int(found.partition(":")[0])
        assert 1 <= line <= text.count("\n") + 1
        assert len(found) < 400


def test_everything_is_told_at_once_in_the_order_of_lines() -> None:
    text = """\
[deployment]
nam = "www"
recipients = ["age1x"]

[volumes.site]
source  = "/site"
formt   = "fat"
profile = "mirage"
exclude = "*.psd"

[volumes.media]
source = [
    { path = "media", at = "a/../b" },
    { path = "x" },
    { path = "y", at = "." },
]
format = "tar"
align  = 4097
fat_type = 16
label  = "X"
size   = 4096
free   = "1K"

[volumes.Media]
source = "keys"
format = "tar"
cipher = "rot13"
"""
    assert complaints(text) == [
        '1: deployment.name: is missing; give the deployment a name, such as "www"',
        "2: deployment.nam: unknown key; did you mean 'name'?",
        "3: deployment.recipients[0]: 'age1x' is not a recipient of age; "
        "recipients begin with age1, ssh-ed25519 or ssh-rsa",
        '5: volumes.site.format: is missing; give format = "tar", format = "fat", '
        'format = "git" or format = "erofs"',
        "6: volumes.site.source: paths are relative to the tree; remove the leading '/'",
        "7: volumes.site.formt: unknown key; did you mean 'format'?",
        "9: volumes.site.exclude: is a list of texts, not text; write ['*.psd']",
        "13: volumes.media.source[0].at: a path has no part '..'; write it without",
        "15: volumes.media.source[2]: is at the volume's root, as is source[1]; "
        "give one of them another 'at'",
        "18: volumes.media.align: alignment is 'auto' or a power of two from 512 to 16384; "
        "not 4097",
        "19: volumes.media.fat_type: unknown key; did you mean 'fat-type'?",
        "20: volumes.media.label: is not for the format tar; remove it",
        "22: volumes.media.free: give a size or free space, not both",
        "24: volumes.Media: differs from 'media' only in case; "
        "their files clash where case is ignored; rename one",
        "27: volumes.Media.cipher: is one of aes-ccm; not 'rot13'",
        "27: volumes.Media.cipher: is for secret volumes; add secret = true",
    ]


def test_a_choice_given_as_anything_else_names_the_choices() -> None:
    text = '[volumes.site]\nsource = "site"\nformat = "erofs"\ninline = false\nmtime = 3\n'
    assert complaints(text) == [
        "1: deployment: is missing; add [deployment] with a name",
        "4: volumes.site.inline: is one of auto, off; not true or false",
        "5: volumes.site.mtime: is one of fixed, keep, clamp; not 3",
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("formt", "format"),
        ("Format", "format"),
        ("sector_size", "sector-size"),
        ("sectorsize", "sector-size"),
        ("dialect", "tar-dialect"),
        ("allow-persistent", "allow_persistent"),
        ("excludes", "exclude"),
        ("path", "source"),
    ],
)
def test_the_nearest_right_name_is_told(key: str, meant: str) -> None:
    expected = f"6: volumes.site.{key}: unknown key; did you mean '{meant}'?"
    assert complaint(f"{TAR}{key} = 1\n") == expected


def test_what_is_near_to_nothing_has_no_nearest_name() -> None:
    assert complaint(f"{TAR}zzz = 1\n") == "6: volumes.site.zzz: unknown key; remove it"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("oneffs = true\ncontainer = 'bundle'", "6: volumes.site.oneffs: a OneFFS holds a pack"),
        ("size = '1M'\ncontainer = 'docteur'", "6: volumes.site.size: a docteur ends with"),
        ("branch = 'a..b'\nauthor = 'you <y@z>'", "6: volumes.site.branch: git takes no branch"),
        ("author = 'you <y@z>'\ncontainer = 'pack'\nhistory = true", "8: volumes.site.history: a"),
        ("object-format = 'sha256'\nmessage = 'x'", "6: volumes.site.object-format: docteur"),
    ],
)
def test_what_a_volume_refuses_is_told_of_the_option_to_blame(options: str, expected: str) -> None:
    assert complaint(f"{GIT}{options}\n").startswith(expected)


def test_an_image_that_nobody_could_decrypt_is_refused() -> None:
    secret = "secret = true\ncipher = 'aes-ccm'\n"
    assert complaint(f"{GIT}{secret}") == (
        "7: volumes.site.cipher: docteur opens its device by itself, and reads no encrypted image; "
        'give container = "pack"'
    )
    assert Manifest.parse(f"{GIT}{secret}container = 'pack'\n").volumes["site"].cipher


def test_each_option_that_a_volume_refuses_is_told() -> None:
    found = complaints(f"{FAT}size = 5\npad = 7\nlabel = '*'\nfat-type = 32\nprofile = 'mirage'\n")
    assert [line.split(":")[1].strip() for line in found] == [
        "volumes.site.size",
        "volumes.site.pad",
        "volumes.site.label",
        "volumes.site.fat-type",
    ]


def test_a_secret_key_among_recipients_is_not_shown() -> None:
    key = f"AGE-SECRET-KEY-1{'Q' * 58}"
    found = complaint(TAR.replace("\n[", f'\nrecipients = ["{key}"]\n[', 1))
    assert "is a secret key" in found
    assert "QQQ" not in found


def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    found = complaint(f'{TAR}"\\u001b[31m\\n" = 1\n')
    assert found.startswith('6: volumes.site."\\x1b[31m\\x0a": unknown key')
    with pytest.raises(Problems) as caught:
        Manifest.parse("", "a\nb.toml")
    assert "a\\x0ab.toml:1: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[deployment]\nname = \n", "2: not valid TOML: Invalid value"),
        ("[a]\n\n[a]\n", "3: not valid TOML: Cannot declare"),
        ("x = 1\nx = 2\n", "2: not valid TOML: Cannot overwrite"),
        ("\n\nname = '''\n\n", "4: not valid TOML: Expected \"'''\""),
        ("a = [\n1\n", "2: not valid TOML: Unclosed array"),
        (f"\na = {'1' * 5000}", "2: not valid TOML: a number is too long"),
        ("\n\0", "2: not valid TOML: Invalid statement"),
        (b"\n\n\xff", "3: byte 2 is not UTF-8"),
        ("[volumes]".encode("utf-16"), "1: byte 0 is not UTF-8"),
    ],
    ids=range(9),
)
def test_what_is_no_toml_is_one_error_with_its_line(text: str | bytes, expected: str) -> None:
    assert complaint(text).startswith(expected)


# Hostile manifests -------------------------------------------------------------------------------

HOSTILE = {
    "large": "#" * (MOST_BYTES + 1),
    "arrays": f"{DEPLOYMENT}x = {'[' * 500_000}",
    "inline tables": f"{DEPLOYMENT}x = {'{a=' * 300_000}",
    "dotted key": f"{DEPLOYMENT}{'a.' * 400_000}a = 1",
    "table": f"[{'a.' * 400_000}a]",
    "volumes": DEPLOYMENT + "".join(f"[volumes.v{number}]\n" for number in range(20_000)),
    "keys": TAR + "".join(f"k{number}=1\n" for number in range(30_000)),
    "long key": f"{TAR}{'k' * 900_000} = 1",
    "long value": f"{TAR}profile = '{'p' * 900_000}'",
    "patterns": f"{TAR}exclude = [{'1,' * (MOST_PATTERNS + 1)}]",
    "path": TAR.replace('"site"', f'"{"a/" * 500_000}a"'),
    "at": TAR.replace('"site"', f'[{{path = "a", at = "{"a/" * 500_000}a"}}]'),
    "parts": TAR.replace('"site"', "[" + "{path='a'}," * 20_000 + "]"),
    "digits": f"{TAR}size = {'1' * 900_000}",
    "hexadecimal digits": f"{TAR}size = 0x{'f' * 900_000}",
    "hexadecimal type": f"{FAT}fat-type = 0x{'f' * 900_000}",
    "elements": f"{TAR}x = [{'1,' * 120_000}]",
    "headers": "".join(f"[a.b{number}.c]\n" for number in range(20_000)),
    "deep headers": "".join(f"[{'a.' * 28}d{number}]\n" for number in range(5_000)),
    "recipient": TAR.replace("\n[", f'\nrecipients = ["age1{"a" * 900_000}"]\n[', 1),
    "ssh recipient": TAR.replace("\n[", f'\nrecipients = ["ssh-rsa {"A" * 900_000}"]\n[', 1),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_manifests_are_refused_in_good_time(text: str) -> None:
    with in_time():  # and not the hours that some would take
        found = complaints(text)
    assert len(found) <= MOST_PROBLEMS + 1
    assert all(len(line) < 400 for line in found)


def test_a_manifest_that_is_too_large_is_not_even_looked_at() -> None:
    assert complaint(TAR + "#" * MOST_BYTES) == (
        "1: a manifest has no more than 1,048,576 bytes; give patterns instead of names"
    )
    Manifest.parse(TAR + "#" * (MOST_BYTES - len(TAR)))


def test_of_too_many_problems_the_rest_is_counted() -> None:
    text = TAR + "".join(f"k{number} = 1\n" for number in range(1000))
    found = complaints(text)
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1].endswith(f"there are {1000 - MOST_PROBLEMS} more problems")
    with pytest.raises(Problems, match=r"^1,000 problems: "):
        Manifest.parse(text)


def test_limits_are_far_above_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = "".join(
        f"[volumes.v{number}]\nsource = 'a/{number}'\nformat = 'tar'\n"
        for number in range(MOST_VOLUMES)
    )
    assert len(Manifest.parse(DEPLOYMENT + volumes).volumes) == MOST_VOLUMES
    # With a lower one, for each takes its time.
    assert MOST_PATTERNS >= 10_000
    monkeypatch.setattr(tree_tables, "MOST_PATTERNS", 100)
    patterns = ",".join(f"'*.{number}'" for number in range(100))
    spec = Manifest.parse(f"{TAR}exclude = [{patterns}]\n").volumes["site"]
    assert len(spec.exclude) == 100


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        (
            *("true", "0", "-1", "4096", "1e9", "nan", "1979-05-27", "''", "'tar'", "'fat'"),
            *("'git'", "'.'", "'..'", "'a/b'", "'16M'", "'auto'", "'keep'", "'pack'", "'aes-ccm'"),
            '"\\u0000"',
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(("path", "at", "x")), inner, max_size=3).map(
            lambda items: f"{{{', '.join(f'{key} = {value}' for key, value in items.items())}}}"
        )
    ),
    max_leaves=4,
)
KEYS = st.sampled_from((*VOLUME_KEYS, "formt", '"\\u0000"'))


@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_whatever_a_table_says_is_a_volume_or_a_list_of_problems(table: dict[str, str]) -> None:
    body = "".join(f"{key} = {value}\n" for key, value in table.items())
    text = f"{DEPLOYMENT}[volumes.site]\n{body}"
    try:
        (spec,) = Manifest.parse(text).volumes.values()
    except Problems as problems:
        assert all(re.match(r"blockpack\.toml:\d+: ", str(error)) for error in problems.exceptions)
        return
    volume_of(spec.format, **spec.options)
    assert {part.path for part in spec.parts}.isdisjoint({"..", "/"})


@given(st.text() | st.binary())
def test_whatever_a_file_holds_is_a_manifest_or_a_list_of_problems(text: str | bytes) -> None:
    with pytest.raises(Problems):
        Manifest.parse(text)
