"""blockpack: pack a tree of files into a block-device image.

tree = blockpack.scan("site")
layout = blockpack.FatVolume(label="WWW").plan(tree)
blockpack.write(layout, "www.img")

To pack: `scan` gives a `Tree` of entries (`File`, `Directory`, `Symlink`); `TarVolume`,
`FatVolume`, `ErofsVolume` and `GitVolume` plan a `Layout` of it; `encrypt` and `verity` make
another of that, and a `Disk` one of several; `write` writes one.
To read: `open_image` gives an `Image`; `extract`, `compare` and `contents` go through it.
Errors are all a `BlockpackError`. Deployments are in `blockpack.deploy`.
"""

from __future__ import annotations

from .public import public

TYPE_CHECKING = False  # typing is slow to import, and `--version` needs none of it

if TYPE_CHECKING:
    from .errors import ActivationError as ActivationError
    from .errors import BlockpackError as BlockpackError
    from .errors import Deviation as Deviation
    from .errors import EntryError as EntryError
    from .errors import ImageError as ImageError
    from .errors import ManifestError as ManifestError
    from .errors import NotInImageError as NotInImageError
    from .errors import NotInTreeError as NotInTreeError
    from .errors import Problems as Problems
    from .errors import SecretError as SecretError
    from .errors import SourceError as SourceError
    from .errors import TargetError as TargetError
    from .errors import UsageError as UsageError
    from .formats.erofs.volume import ErofsVolume as ErofsVolume
    from .formats.fat.volume import FatVolume as FatVolume
    from .formats.git.volume import GitVolume as GitVolume
    from .formats.reader import ImageEntry as ImageEntry
    from .formats.reader import ImageReader as ImageReader
    from .formats.registry import Format as Format
    from .formats.tar.volume import TarVolume as TarVolume
    from .images.compare import Difference as Difference
    from .images.compare import compare as compare
    from .images.contents import contents as contents
    from .images.extract import extract as extract
    from .images.image import Image as Image
    from .images.open_image import open_image as open_image
    from .images.path import ImagePath as ImagePath
    from .layers.ccm import encrypt as encrypt
    from .layers.disk.disk import Disk as Disk
    from .layers.disk.disk import Partition as Partition
    from .layers.disk.disk import Raw as Raw
    from .layers.disk.verity_partitions import verity_partitions as verity_partitions
    from .layers.verity.signature import Signer as Signer
    from .layers.verity.verity import hash_tree as hash_tree
    from .layers.verity.verity import verity as verity
    from .model.entry import Directory as Directory
    from .model.entry import Entry as Entry
    from .model.entry import File as File
    from .model.entry import Store as Store
    from .model.entry import Symlink as Symlink
    from .model.extent import Data as Data
    from .model.extent import Extent as Extent
    from .model.extent import FileRange as FileRange
    from .model.extent import Stream as Stream
    from .model.extent import Zeros as Zeros
    from .model.tree import Tree as Tree
    from .planning.layout import Layout as Layout
    from .planning.layout import LayoutWarning as LayoutWarning
    from .planning.layout import Placement as Placement
    from .planning.profile import ErofsLimits as ErofsLimits
    from .planning.profile import FatLimits as FatLimits
    from .planning.profile import GitLimits as GitLimits
    from .planning.profile import Medium as Medium
    from .planning.profile import Profile as Profile
    from .planning.profile import TarLimits as TarLimits
    from .planning.profile import WantedFile as WantedFile
    from .planning.runs import Run as Run
    from .planning.volume import Volume as Volume
    from .serving.serve import serve as serve
    from .sources.options import ScanOptions as ScanOptions
    from .sources.scan import scan as scan
    from .writing.progress import Progress as Progress
    from .writing.write import Report as Report
    from .writing.write import write as write

__version__ = "0.1.0"

_HOMES = {
    "errors": (
        "ActivationError",
        "BlockpackError",
        "Deviation",
        "EntryError",
        "ImageError",
        "ManifestError",
        "NotInImageError",
        "NotInTreeError",
        "Problems",
        "SecretError",
        "SourceError",
        "TargetError",
        "UsageError",
    ),
    "formats.erofs.volume": ("ErofsVolume",),
    "formats.fat.volume": ("FatVolume",),
    "formats.git.volume": ("GitVolume",),
    "formats.reader": ("ImageEntry", "ImageReader"),
    "formats.registry": ("Format",),
    "formats.tar.volume": ("TarVolume",),
    "images.compare": ("Difference", "compare"),
    "images.extract": ("extract",),
    "images.contents": ("contents",),
    "images.image": ("Image",),
    "images.open_image": ("open_image",),
    "images.path": ("ImagePath",),
    "layers.ccm": ("encrypt",),
    "layers.disk.disk": ("Disk", "Partition", "Raw"),
    "layers.disk.verity_partitions": ("verity_partitions",),
    "layers.verity.signature": ("Signer",),
    "layers.verity.verity": ("hash_tree", "verity"),
    "model.entry": ("Directory", "Entry", "File", "Store", "Symlink"),
    "model.extent": ("Data", "Extent", "FileRange", "Stream", "Zeros"),
    "model.tree": ("Tree",),
    "planning.layout": ("Layout", "LayoutWarning", "Placement"),
    "planning.runs": ("Run",),
    "planning.profile": (
        "ErofsLimits",
        "FatLimits",
        "GitLimits",
        "Medium",
        "Profile",
        "TarLimits",
        "WantedFile",
    ),
    "planning.volume": ("Volume",),
    "serving.serve": ("serve",),
    "sources.options": ("ScanOptions",),
    "sources.scan": ("scan",),
    "writing.progress": ("Progress",),
    "writing.write": ("Report", "write"),
}

__getattr__, __dir__ = public(__name__, _HOMES)
