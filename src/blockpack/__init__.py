"""blockpack: pack a tree of files into a block-device image.

tree = blockpack.scan("site")
layout = blockpack.FatVolume(label="WWW").plan(tree)
blockpack.write(layout, "www.img")
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import, and `--version` needs none of it

if TYPE_CHECKING:
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
    from .formats.fat import FatVolume as FatVolume
    from .formats.git.volume import GitVolume as GitVolume
    from .formats.reader import ImageEntry as ImageEntry
    from .formats.tar import TarVolume as TarVolume
    from .images.image import Image as Image
    from .images.opening import open_image as open_image
    from .layers.ccm import encrypt as encrypt
    from .model.entry import Directory as Directory
    from .model.entry import Entry as Entry
    from .model.entry import File as File
    from .model.entry import Symlink as Symlink
    from .model.extent import Data as Data
    from .model.extent import FileRange as FileRange
    from .model.extent import Stream as Stream
    from .model.extent import Zeros as Zeros
    from .model.tree import Tree as Tree
    from .planning.layout import Layout as Layout
    from .planning.layout import Placement as Placement
    from .planning.profile import Profile as Profile
    from .planning.volume import Volume as Volume
    from .sources.scan import scan as scan
    from .writing import Progress as Progress
    from .writing import Report as Report
    from .writing import write as write

__version__ = "0.1.0"

# Names are imported when they are first used: build hooks start blockpack often.
_HOMES = {
    "model.entry": ("Directory", "Entry", "File", "Symlink"),
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
    "model.extent": ("Data", "FileRange", "Stream", "Zeros"),
    "formats.fat.volume": ("FatVolume",),
    "formats.git.volume": ("GitVolume",),
    "formats.reader": ("ImageEntry",),
    "images.image": ("Image",),
    "images.opening": ("open_image",),
    "layers.ccm": ("encrypt",),
    "planning.layout": ("Layout", "Placement"),
    "planning.profile": ("Profile",),
    "formats.tar.volume": ("TarVolume",),
    "model.tree": ("Tree",),
    "planning.volume": ("Volume",),
    "sources.scan": ("scan",),
    "writing.write": ("Progress", "Report", "write"),
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
