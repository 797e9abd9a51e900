"""Manifests to parse: sound ones, and each way in which one can be wrong."""

from __future__ import annotations

AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN you@host"

DEPLOYMENT = '[deployment]\nname = "www"\n'
TAR = f'{DEPLOYMENT}[volumes.site]\nsource = "site"\nformat = "tar"\n'
FAT = TAR.replace('"tar"', '"fat"')
GIT = TAR.replace('"tar"', '"git"')
DISK = f"{TAR}[disks.card]\n[[disks.card.partitions]]\nvolume = 'site'\n"

FULL = f"""\
[deployment]
name = "www"
recipients = ["{AGE}", "{SSH}"]

[volumes.site]
source  = "site"
format  = "fat"
profile = "mirage"
free    = "16M"
exclude = ["*.psd"]

[volumes.media]
source = [{{ path = "media" }}, {{ path = "more/video.mp4", at = "video/more.mp4" }}]
format = "tar"
align  = 4096
mtime  = "keep"
symlinks = "follow"

[volumes.history]
source = "."
format = "git"
container = "pack"
size = "64M"
compression = 9
oneffs = true
submodules = "skip"

[volumes.keys]
source = "secrets"
format = "tar"
secret = true
cipher = "aes-ccm"
"""

SOUND = {
    "full": FULL,
    "least": TAR,
    "consumer": TAR.replace("\n[", '\nconsumer = "xen"\n[', 1),
    "consumers": TAR.replace("\n[", '\nconsumer = ["mirage", "solo5-hvt"]\n[', 1),
    "no consumers": TAR.replace("\n[", "\nconsumer = []\n[", 1),
    "dotted": 'deployment.name = "w"\nvolumes.a = { source = ".", format = "tar" }\n',
    "sizes": f'{TAR}size = "1MiB"\npad = "8k"\nsector-size = 4096\n',
    "numbers": f"{FAT}fat-type = 16\nlabel = 'X'\n",
    "words": f"{FAT}fat-type = '16'\ncluster-size = '4K'\n",
    "auto": f"{TAR}align = 'auto'\nowner = '0:0'\n",
    "compression": f"{GIT}compression = '0'\n",
    "persistent": f"{TAR}secret = true\nallow_persistent = true\n",
    "verity": f"{TAR}verity = true\n",
    "secret without verity": f"{TAR}secret = true\nverity = false\n",
    "partition with verity": DISK + "type = 'root-x86-64'\nverity = true\n",
    "not persistent": f"{TAR}allow_persistent = false\nsecret = false\n",
    "nested parts": TAR.replace('"site"', '[{path = "a"}, {path = "b", at = "a/b"}]'),
    "path": TAR.replace('"site"', f'[{{path = "a{"/a" * 254}", at = "{"a" * 4096}"}}]'),
    "names": f"{TAR}[volumes.{'A' * 63}]\nsource = '...'\nformat = 'tar'\n",
    "disk": DISK,
    "disk alone": f"{DEPLOYMENT}[disks.d]\npartitions = [{{size = 4096}}]\n",
    "disk without partitions": f"{DEPLOYMENT}[disks.d]\npartitions = []\n",
    "disk of all keys": DISK.replace(
        "[disks.card]\n",
        "[disks.card]\ntable = 'gpt'\nsize = '1G'\nsector-size = 4096\nalign = '4M'\nentries = 56\n"
        "entries-at = '64K'\nid = '0fc63daf-8483-4772-8e79-3d69d8477de4'\n"
        "raw = [{path = 'u-boot.bin', offset = '8K'}]\n",
    )
    + "type = 'esp'\nname = 'EFI'\nsize = 'rest'\noffset = '8M'\nflags = ['read-only', '63']\n"
    "id = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B'\n",
    "disk of an MBR": DISK.replace("[disks.card]", "[disks.card]\ntable = 'mbr'\nid = '0x1234abcd'")
    + "type = 0x0c\nflags = ['boot']\n",
    "two disks": f"{DISK}[disks.other]\npartitions = [{{volume = 'site'}}, {{volume = 'site'}}]\n",
    "image of its own": DISK.replace("[disks", "image = true\n[disks", 1),
    "image of a disk alone": DISK.replace("[disks", "image = false\n[disks", 1),
    "finished image": f"{DEPLOYMENT}[disks.d]\npartitions = [{{path = 'root.ext4'}}]\n",
    "secret on a disk": DISK.replace("[disks", "secret = true\n[disks", 1),
}

WRONG = {
    "empty": "",
    "no volumes": DEPLOYMENT,
    "empty volumes": f"{DEPLOYMENT}[volumes]\n",
    "volumes is a list": f"{DEPLOYMENT}[[volumes]]\nsource = 'a'\nformat = 'tar'\n",
    "volumes is text": f"volumes = 'site'\n{DEPLOYMENT}",
    "volume is text": f"{DEPLOYMENT}[volumes]\nsite = 'site'\n",
    "no deployment": TAR.removeprefix(DEPLOYMENT),
    "no name": TAR.replace('name = "www"', ""),
    "name is a number": TAR.replace('"www"', "1"),
    "name is a path": TAR.replace('"www"', '"../www"'),
    "name is a dot": TAR.replace('"www"', '"."'),
    "name is empty": TAR.replace('"www"', '""'),
    "top key": f"{TAR}[volume.x]\n",
    "deployment key": TAR.replace("name", "nmae"),
    "volume key": f"{TAR}formt = 'tar'\n",
    "underscore": f"{TAR}sector_size = 512\n",
    "dash": f"{TAR}secret = true\nallow-persistent = true\n",
    "attribute": f"{TAR}dialect = 'pax'\n",
    "part key": TAR.replace('"site"', '[{path = "a", to = "b"}]'),
    "volume name": TAR.replace("volumes.site", 'volumes."disk.img"'),
    "volume number": TAR.replace("volumes.site", "volumes.1st"),
    "volume name empty": TAR.replace("volumes.site", 'volumes.""'),
    "volume name long": TAR.replace("volumes.site", f"volumes.{'a' * 64}"),
    "volume manifest": TAR.replace("volumes.site", "volumes.Manifest"),
    "no source": TAR.replace("source", "#"),
    "source is a number": TAR.replace('"site"', "1"),
    "source is empty": TAR.replace('"site"', '""'),
    "source is nothing": TAR.replace('"site"', "[]"),
    "source is texts": TAR.replace('"site"', '["a", "b"]'),
    "part without path": TAR.replace('"site"', '[{at = "b"}]'),
    "absolute": TAR.replace('"site"', '"/etc"'),
    "parent": TAR.replace('"site"', '"site/../../etc"'),
    "dot": TAR.replace('"site"', '"./site"'),
    "slash at the end": TAR.replace('"site"', '"site/"'),
    "NUL": TAR.replace('"site"', '"a\\u0000b"'),
    "backslash": TAR.replace('"site"', "'..\\etc'"),
    "git's own": TAR.replace('"site"', '"sub/.GIT/config"'),
    "at is absolute": TAR.replace('"site"', '[{path = "a", at = "/b"}]'),
    "at is parent": TAR.replace('"site"', '[{path = "a", at = ".."}]'),
    "long path": TAR.replace('"site"', f'"{"a" * 4097}"'),
    "deep path": TAR.replace('"site"', f'"a{"/a" * 255}"'),
    "at is long": TAR.replace('"site"', f'[{{path = "a", at = "{"a" * 4097}"}}]'),
    "at is deep": TAR.replace('"site"', f'[{{path = "a", at = "a{"/a" * 255}"}}]'),
    "no format": TAR.replace("format", "#"),
    "format": TAR.replace('"tar"', '"Tar"'),
    "format is a list": TAR.replace('"tar"', '["tar"]'),
    "profile": f"{TAR}profile = 'mirag'\n",
    "size and free": f"{TAR}size = 4096\nfree = 0\n",
    "size": f"{TAR}size = '16 MB'\n",
    "size is a float": f"{TAR}size = 4096.5\n",
    "size is negative": f"{TAR}size = -1\n",
    "size is huge": f"{TAR}size = 0x{'f' * 20}\n",
    "size is true": f"{TAR}size = true\n",
    "mtime": f"{TAR}mtime = 'now'\n",
    "symlinks": f"{TAR}symlinks = 'kept'\n",
    "exclude": f"{TAR}exclude = '*.psd'\n",
    "exclude numbers": f"{TAR}exclude = [1]\n",
    "exclude lines": f"{TAR}exclude = ['''a\nb''']\n",
    "label of tar": f"{TAR}label = 'X'\n",
    "align of fat": f"{FAT}align = 4096\n",
    "container of fat": f"{FAT}container = 'pack'\n",
    "label of git": f"{GIT}label = 'X'\n",
    "label": f"{FAT}label = 'much too long'\n",
    "fat-type": f"{FAT}fat-type = 24\n",
    "fat-type is huge": f"{FAT}fat-type = 0x{'f' * 20}\n",
    "owner": f"{TAR}owner = 'root'\n",
    "compression": f"{GIT}compression = 10\n",
    "history is text": f"{GIT}history = 'true'\n",
    "cipher without secret": f"{TAR}cipher = 'aes-ccm'\n",
    "cipher with false secret": f"{TAR}cipher = 'aes-ccm'\nsecret = false\n",
    "verity of a secret": f"{TAR}secret = true\nverity = true\n",
    "verity is text": f"{TAR}verity = 'www.verity'\n",
    "persistent without secret": f"{TAR}allow_persistent = true\n",
    "cipher": f"{TAR}secret = true\ncipher = 'rot13'\n",
    "secret is text": f"{TAR}secret = 'true'\n",
    "recipient": TAR.replace("\n[", f'\nrecipients = ["{AGE[:-1]}"]\n[', 1),
    "recipient in capitals": TAR.replace("\n[", f'\nrecipients = ["{AGE.upper()}"]\n[', 1),
    "recipient is RSA's file": TAR.replace("\n[", '\nrecipients = ["id_rsa.pub"]\n[', 1),
    "consumer": TAR.replace("\n[", '\nconsumer = "xem"\n[', 1),
    "consumers": TAR.replace("\n[", '\nconsumer = ["xen", 1]\n[', 1),
    "consumer is a number": TAR.replace("\n[", "\nconsumer = 1\n[", 1),
    "consumers are many": TAR.replace("\n[", f"\nconsumer = {['xen'] * 11}\n[", 1),
    "recipients is text": TAR.replace("\n[", f'\nrecipients = "{AGE}"\n[', 1),
    "disks is text": f"disks = 'card'\n{TAR}",
    "disks is empty": f"{TAR}[disks]\n",
    "disk is text": f"{TAR}[disks]\ncard = 'site'\n",
    "disk name": DISK.replace("disks.card", "disks.'sd-card'"),
    "disk manifest": DISK.replace("disks.card", "disks.MANIFEST"),
    "disk key": DISK.replace("[disks.card]", "[disks.card]\nsizes = 4096"),
    "disk table": DISK.replace("[disks.card]", "[disks.card]\ntable = 'GPT'"),
    "disk of no entries": DISK.replace("[disks.card]", "[disks.card]\nentries = 0"),
    "disk of many entries": DISK.replace("[disks.card]", "[disks.card]\nentries = 1_000_000_000"),
    "disk size": DISK.replace("[disks.card]", "[disks.card]\nsize = 'rest'"),
    "no partitions": f"{TAR}[disks.card]\n",
    "partitions is text": f"{TAR}[disks.card]\npartitions = 'site'\n",
    "partition is text": f"{TAR}[disks.card]\npartitions = ['site']\n",
    "partition of two": f"{DISK}path = 'root.ext4'\n",
    "partition path": f"{TAR}[disks.card]\npartitions = [{{path = '/etc/shadow'}}]\n",
    "partition key": f"{DISK}label = 'X'\n",
    "partition of nothing": f"{TAR}[disks.card]\npartitions = [{{name = 'x'}}]\n",
    "partition volume": f"{TAR}[disks.card]\npartitions = [{{volume = 1}}]\n",
    "partition name": f"{DISK}name = '{'x' * 37}'\n",
    "partition type": f"{DISK}type = 0\n",
    "partition type list": f"{DISK}type = ['esp']\n",
    "partition size": f"{DISK}size = 'all'\n",
    "flags is text": f"{DISK}flags = 'boot'\n",
    "raw is text": DISK.replace("[disks.card]", "[disks.card]\nraw = 'u-boot.bin'"),
    "raw without offset": DISK.replace("[disks.card]", "[disks.card]\nraw = [{path = 'a'}]"),
    "raw without path": DISK.replace("[disks.card]", "[disks.card]\nraw = [{offset = 0}]"),
    "raw outside": DISK.replace(
        "[disks.card]", "[disks.card]\nraw = [{path = '../a', offset = 0}]"
    ),
}

BEYOND_THE_SCHEMA = {
    "verity twice": DISK.replace("[disks", "verity = true\n[disks", 1) + "verity = true\n",
    "verity in an MBR": DISK.replace("[disks.card]", "[disks.card]\ntable = 'mbr'")
    + "type = 'root-x86-64'\nverity = true\n",
    "volumes by case": f"{TAR}[volumes.Site]\nsource = 'a'\nformat = 'tar'\n",
    "parts at one place": TAR.replace('"site"', '[{path = "a"}, {path = "b", at = "."}]'),
    "size of no sectors": f"{TAR}size = 1000\n",
    "size is a float of no fraction": f"{TAR}size = 4096.0\n",
    "pad": f"{TAR}pad = 1000\n",
    "sector size": f"{TAR}sector-size = 1024\n",
    "align": f"{TAR}align = 4097\n",
    "FAT type of the profile": f"{FAT}profile = 'mirage'\nfat-type = 32\n",
    "cluster size": f"{FAT}cluster-size = 3\n",
    "author": f"{GIT}author = 'you'\n",
    "branch": f"{GIT}branch = 'a..b'\n",
    "object format": f"{GIT}object-format = 'sha256'\n",
    "oneffs": f"{GIT}oneffs = true\n",
    "size of a bundle": f"{GIT}container = 'bundle'\nfree = '1M'\n",
    "owner": f"{TAR}owner = '9999999999:0'\n",
    "label": f"{FAT}label = ' x'\n",
    "pattern": f"{TAR}exclude = ['!']\n",
    "what a consumer cannot use": GIT.replace("\n[", '\nconsumer = "albatross"\n[', 1),
    "path of many bytes": TAR.replace('"site"', '"' + "ä" * 2049 + '"'),
    "volume and disk": f"{TAR}[disks.Site]\npartitions = [{{size = 4096}}]\n",
    "volume and disk of one name": f"{TAR}[disks.site]\npartitions = [{{volume = 'site'}}]\n",
    "no such volume": f"{TAR}[disks.card]\npartitions = [{{volume = 'sit'}}]\n",
    "image of no disk": f"{TAR}image = false\n",
    "encrypted on a disk": DISK.replace("[disks", "secret = true\ncipher = 'aes-ccm'\n[disks", 1),
    "partition type of no kind": f"{DISK}type = 'efi'\n",
    "partition flag": f"{DISK}flags = ['bootable']\n",
    "partition id": f"{DISK}id = '1'\n",
    "entries of an MBR": DISK.replace("[disks.card]", "[disks.card]\ntable = 'mbr'\nentries = 56"),
    "disk id": DISK.replace("[disks.card]", "[disks.card]\nid = '0x1'"),
    "disk sector": DISK.replace("[disks.card]", "[disks.card]\nsector-size = 1024"),
    "partition path is all": f"{TAR}[disks.card]\npartitions = [{{path = '.'}}]\n",
    "raw is all": DISK.replace("[disks.card]", "[disks.card]\nraw = [{path = '.', offset = 0}]"),
}
"""Wrong for reasons that a JSON schema cannot tell."""
