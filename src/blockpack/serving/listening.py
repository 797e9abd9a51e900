"""Where clients come in: a Unix socket, a TCP address, or what systemd opened."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

from ..errors import TargetError, UsageError

PORT = 10809
"""NBD's port (IANA)."""

_BACKLOG = 128

_FIRST_PASSED = 3  # sd_listen_fds(3), SD_LISTEN_FDS_START


def unix_socket(path: str) -> socket.socket:
    """A socket at `path`, which this user alone may connect to. One that nobody serves is replaced.

    Raises `TargetError`.
    """
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # it has its mode from the first moment on
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if "too long" in str(error):
            rule = "is longer than the path of a socket may be (107 bytes)"
            raise TargetError(path, rule, "choose a shorter one") from None
        raise TargetError.of(path, "cannot be listened on", error) from None
    finally:
        os.umask(before)
    return listener


def _remove_stale(path: str) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise TargetError(path, "is there already, and is not a socket", "choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                with suppress(FileNotFoundError):
                    os.unlink(path)
                return
            raise TargetError.of(path, "cannot be replaced", error) from None
    raise TargetError(path, "is served by another process", "stop that, or choose another path")


def tcp_sockets(address: str) -> list[socket.socket]:
    """Sockets on ``HOST:PORT``, ``HOST``, or ``:PORT`` (of this machine alone).

    Raises `UsageError` and `TargetError`.
    """
    host, port = _host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise TargetError(address, f"is not an address: {error.strerror or error}") from None
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(where)
            listener.listen(_BACKLOG)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise TargetError.of(address, "cannot be listened on", error) from None
    return listeners


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(PORT)
    host = host.removeprefix("[").removesuffix("]") or "localhost"
    if not port.isdecimal() or int(port) > 0xFFFF:
        raise UsageError(address, "is not HOST:PORT", "give a port from 0 to 65535")
    return host, int(port)


def passed_sockets() -> list[socket.socket]:
    """The sockets that systemd opened for this process (sd_listen_fds(3)); none without it."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=_FIRST_PASSED + number) for number in range(count)]
