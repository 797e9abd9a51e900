"""Where clients come in: a Unix socket, a TCP address, or what systemd opened."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from contextlib import suppress
from socket import socket as Socket
from typing import NamedTuple

from ..errors import TargetError, UsageError
from ..writing.temporary_names import temporary_name

PORT = 10809
"""NBD's port (IANA)."""

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name has addresses of a kind that this machine has not, such as IPv6 in a container."""

_FIRST_PASSED = 3  # sd_listen_fds(3), SD_LISTEN_FDS_START


class Listener(NamedTuple):
    """A socket on which clients come in; `path` and `inode` are of one of ours, to be removed."""

    socket: Socket
    path: str | None = None
    inode: int = 0

    def uri(self, export: str) -> str:
        """Where clients find the export of that name (the NBD project's URI specification)."""
        from urllib.parse import quote  # slow to import, and only told where somebody hears it

        where = self.path or self.socket.getsockname()
        if isinstance(where, str | bytes):
            return f"nbd+unix:///{quote(export)}?socket={quote(os.fsencode(where))}"
        host, port = where[:2]
        return f"nbd://{f'[{host}]' if ':' in host else host}:{port}/{quote(export)}"

    def close(self) -> None:
        """Take no more clients."""
        self.socket.close()
        if self.path is not None:
            with suppress(OSError):
                if os.lstat(self.path).st_ino == self.inode:  # and not another server's
                    os.unlink(self.path)


def unix_socket(path: str) -> Listener:
    """A socket at `path`, which this user alone may connect to, and gets its name once it takes
    clients. One that nobody serves is replaced. Raises `TargetError`.
    """
    _require_free(path)
    listener = Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = os.path.join(os.path.dirname(path), temporary_name())
    inode = 0
    before = os.umask(0o177)  # it has its mode from the first moment on
    try:
        listener.bind(temporary)
        listener.listen(socket.SOMAXCONN)  # libnbd and QEMU do not wait for room
        inode = os.lstat(temporary).st_ino
        os.rename(temporary, path)
    except BaseException as error:  # of a signal as well, which in threads nothing holds
        Listener(listener, path, inode).close()
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _error(path, error) from None
        raise
    finally:
        os.umask(before)
    return Listener(listener, path, inode)


def _require_free(path: str) -> None:
    """Raise `TargetError` unless nothing is at `path`, or a socket that nobody serves."""
    with suppress(OSError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise TargetError(path, "is there already, and is not a socket", "choose another path")
    with Socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # who serves it may take no more clients for now
        try:
            probe.connect(path)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return
            raise _error(path, error) from None
    raise TargetError(path, "is served by another process", "stop that, or choose another path")


def _error(path: str, error: OSError) -> TargetError:
    if "too long" not in str(error):
        return TargetError.of(path, "cannot be listened on", error)
    rule = "is too long for a socket: 107 bytes, of which its directory has 75, are the most"
    return TargetError(path, rule, "choose a shorter one")


def tcp_sockets(address: str) -> list[Listener]:
    """Sockets on ``HOST:PORT``, ``HOST``, or ``:PORT`` (of this machine alone). Raises `UsageError`
    and `TargetError`.
    """
    host, port = _host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise TargetError(address, f"is not an address: {error.strerror or error}") from None
    listeners: list[Listener] = []
    try:
        for family, *_, where in dict.fromkeys(found):
            try:
                opened = socket.create_server(where, family=family, backlog=socket.SOMAXCONN)
                listeners.append(Listener(opened))  # with room in it, as above
            except OSError as error:
                if error.errno not in _ABSENT or len(found) == 1:
                    raise
        if not listeners:
            raise OSError(errno.EADDRNOTAVAIL, "")
    except OSError as error:
        for each in listeners:
            each.close()
        plain = OSError(error.errno, os.strerror(error.errno or 0))  # without the place it is at
        raise TargetError.of(address, "cannot be listened on", plain) from None
    return listeners


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(PORT)
    host = host.removeprefix("[").removesuffix("]") or "localhost"
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 0xFFFF:
        raise UsageError(address, "is not HOST:PORT", "give a port from 0 to 65535")
    with suppress(UnicodeError):  # a name of no host (RFC 3490)
        host.encode("idna")
        return host, int(port)
    raise UsageError(address, "is not HOST:PORT", "give the name or address of this machine")


def passed_sockets() -> list[Listener]:
    """The sockets that systemd opened for this process (sd_listen_fds(3)); none without it. Raises
    `UsageError` for what is not a socket that listens.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise UsageError(count, "LISTEN_FDS is not a number of sockets")
    found = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        try:
            passed = Socket(fileno=descriptor)
            listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listening = 0
        if not listening:
            rule = f"descriptor {descriptor}, which systemd passed, is not a socket that listens"
            raise UsageError("", rule, "set Accept=no and ListenStream= in the socket's unit")
        passed.set_inheritable(False)
        found.append(Listener(passed))
    return found
