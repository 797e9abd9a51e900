"""Deployments: a tree of files with a manifest, built into images, activated, attached.

report = blockpack.deploy.build("deployment", "dist")
blockpack.deploy.deploy("www.git", "main", "/var/lib/www", keep=3)
blockpack.deploy.rollback("/var/lib/www")
"""

from __future__ import annotations

from ..public import public

TYPE_CHECKING = False

if TYPE_CHECKING:
    from .building.build import BuildReport as BuildReport
    from .building.build import build as build
    from .building.check import CheckedVolume as CheckedVolume
    from .building.check import check as check
    from .host.generations import Generation as Generation
    from .host.rollout import DeployReport as DeployReport
    from .host.rollout import collect as collect
    from .host.rollout import deploy as deploy
    from .host.rollout import rollback as rollback
    from .host.status import Status as Status
    from .host.status import status as status
    from .manifest.parser import Manifest as Manifest
    from .record import BuildRecord as BuildRecord
    from .secrets import Secrets as Secrets
    from .source.deployment import Deployment as Deployment
    from .source.open_deployment import open_deployment as open_deployment

_HOMES = {
    "building.build": ("BuildReport", "build"),
    "building.check": ("CheckedVolume", "check"),
    "host.generations": ("Generation",),
    "host.rollout": ("DeployReport", "collect", "deploy", "rollback"),
    "host.status": ("Status", "status"),
    "manifest.parser": ("Manifest",),
    "record": ("BuildRecord",),
    "secrets": ("Secrets",),
    "source.deployment": ("Deployment",),
    "source.open_deployment": ("open_deployment",),
}
__getattr__, __dir__ = public(__name__, _HOMES)
