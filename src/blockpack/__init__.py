"""blockpack: pack a tree of files into a block-device image.

tree = blockpack.Tree.scan("site")
layout = blockpack.FatVolume(label="WWW").plan(tree)
blockpack.write(layout, "www.img")
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import, and `--version` needs none of it

if TYPE_CHECKING:
    from .entry import Content as Content
    from .entry import Directory as Directory
    from .entry import Entry as Entry
    from .entry import File as File
    from .entry import Symlink as Symlink
    from .errors import ActivationError as ActivationError
    from .errors import BlockpackError as BlockpackError
    from .errors import EntryError as EntryError
    from .errors import ImageError as ImageError
    from .errors import ManifestError as ManifestError
    from .errors import Problems as Problems
    from .errors import SecretError as SecretError
    from .errors import SourceError as SourceError
    from .errors import TargetError as TargetError
    from .errors import UsageError as UsageError
    from .extent import Data as Data
    from .extent import FileRange as FileRange
    from .extent import Stream as Stream
    from .extent import Zeros as Zeros
    from .fat import FatVolume as FatVolume
    from .git.volume import GitVolume as GitVolume
    from .image import Image as Image
    from .image import ImageEntry as ImageEntry
    from .image import open_image as open_image
    from .layers.ccm import encrypt as encrypt
    from .layout import Layout as Layout
    from .layout import Placement as Placement
    from .profile import Profile as Profile
    from .tar import TarVolume as TarVolume
    from .tree import Tree as Tree
    from .volume import Volume as Volume
    from .writer import Progress as Progress
    from .writer import Report as Report
    from .writer import write as write

__version__ = "0.1.0"

# Names are imported when they are first used: build hooks start blockpack often.
_HOMES = {
    "entry": ("Content", "Directory", "Entry", "File", "Symlink"),
    "errors": (
        "ActivationError",
        "BlockpackError",
        "EntryError",
        "ImageError",
        "ManifestError",
        "Problems",
        "SecretError",
        "SourceError",
        "TargetError",
        "UsageError",
    ),
    "extent": ("Data", "FileRange", "Stream", "Zeros"),
    "fat": ("FatVolume",),
    "git.volume": ("GitVolume",),
    "image": ("Image", "ImageEntry", "open_image"),
    "layers.ccm": ("encrypt",),
    "layout": ("Layout", "Placement"),
    "profile": ("Profile",),
    "tar": ("TarVolume",),
    "tree": ("Tree",),
    "volume": ("Volume",),
    "writer": ("Progress", "Report", "write"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found: object = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
