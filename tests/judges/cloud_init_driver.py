"""Runs a data source of cloud-init: ``cloud_init_driver.py SOURCE IMAGE CONTENTS SCRATCH``.

Prints what it has as JSON, on the last line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from cloudinit import dmi, helpers, settings, sources, util
from cloudinit.sources import DataSourceConfigDrive, DataSourceNoCloud

_SOURCE, _IMAGE, _CONTENTS, _SCRATCH = sys.argv[1:]


def _devices(criteria: str = "", *_: Any, **__: Any) -> list[str]:
    command = ["blkid", "-c", "/dev/null", "-t", criteria, "-o", "device", _IMAGE]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def _mounted(device: str, callback: Callable[..., Any], data: Any = None, **_: Any) -> Any:
    assert device == _IMAGE
    return callback(_CONTENTS) if data is None else callback(_CONTENTS, data)


def _shown(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _nocloud() -> dict[str, Any] | None:
    paths = helpers.Paths({"cloud_dir": _SCRATCH, "run_dir": _SCRATCH})
    source = DataSourceNoCloud.DataSourceNoCloud(settings.CFG_BUILTIN, None, paths)
    if not source._get_data():
        return None
    return {
        "metadata": source.metadata,
        "userdata": _shown(source.userdata_raw),
        "vendordata": _shown(source.vendordata_raw),
        "network": source.network_config,
    }


def _configdrive() -> dict[str, Any] | None:
    if _IMAGE not in _devices("LABEL=config-2"):
        return None
    try:
        found = util.mount_cb(_IMAGE, DataSourceConfigDrive.read_config_drive)
    except (sources.BrokenMetadata, OSError):
        return None
    return {key: _shown(value) for key, value in found.items()}


util.find_devs_with = _devices
util.mount_cb = _mounted
util.get_cmdline = lambda: ""
dmi.read_dmi_data = lambda key: None
sys.stdout.write(json.dumps({"nocloud": _nocloud, "configdrive": _configdrive}[_SOURCE]()) + "\n")
