"""Secret volumes, and the encrypted files that they are made of (docs/threat-model.md).

Rule 1: what is decrypted is held by this process alone. No other one is handed it, no temporary
file has it, and no dump of memory.
Rule 2: an image is encrypted, or on a RAM file system, or on a disk because the manifest allows it.
Rule 3: an image and its key are their owner's alone from the first byte on, are shared with
nothing, and are wiped when something takes their place.
Rule 4: nothing is told of what is in a volume: no name, no size, no digest. Errors say how many
files there is something wrong with, and how to find them. What others raise is told without its
text, and not as a cause or a context either.

`opening` decrypts what volumes are made of (`building.secret_volumes` makes them), `runtime` is
about where their images may lie. `files` maintains the encrypted files, `held_file` has none of
them lost, `editing` has them edited, and `history` looks for what should have been one. One thing
each: `age` encrypts, `redact` keeps errors silent, and `ramfs` tells what is on no disk.
"""

from .options import Secrets

__all__ = ["Secrets"]
