"""Deployments: a tree of files with a manifest, built into images, activated, attached.

report = blockpack.deploy.build("deployment", "dist")
blockpack.deploy.deploy("www.git", "main", "/var/lib/www", keep=3)
blockpack.deploy.rollback("/var/lib/www")
"""

from __future__ import annotations

from ..public import public

TYPE_CHECKING = False

if TYPE_CHECKING:
    from .builds import BuildReport as BuildReport
    from .builds import build as build
    from .checks import CheckedVolume as CheckedVolume
    from .checks import check as check
    from .generations import Generation as Generation
    from .manifest import Manifest as Manifest
    from .overview import Status as Status
    from .overview import status as status
    from .record import BuildRecord as BuildRecord
    from .rollout import DeployReport as DeployReport
    from .rollout import collect as collect
    from .rollout import deploy as deploy
    from .rollout import rollback as rollback
    from .secrets import Secrets as Secrets

_HOMES = {
    "builds": ("BuildReport", "build"),
    "checks": ("CheckedVolume", "check"),
    "generations": ("Generation",),
    "manifest": ("Manifest",),
    "overview": ("Status", "status"),
    "record": ("BuildRecord",),
    "rollout": ("DeployReport", "collect", "deploy", "rollback"),
    "secrets": ("Secrets",),
}
__getattr__, __dir__ = public(__name__, _HOMES)
