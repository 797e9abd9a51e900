"""`serve`: layouts and images as read-only block devices, by the NBD protocol.

The plan is served as it is: nothing is written, and a client reads the very bytes that an image of
it would have. Sources are compared with the plan at each read, as they are when they are packed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from ..errors import UsageError, require_path
from ..workers.pool import signals_held
from ..workers.processors import may_fork
from .export import Export, Servable
from .listening import passed_sockets, tcp_sockets, unix_socket
from .server import Server


def serve(
    exports: Servable | Mapping[str, Servable],
    socket: str | os.PathLike[str] | None = None,
    *,
    listen: str | None = None,
    ready: Callable[[Sequence[str]], object] | None = None,
    log: Callable[[str], object] | None = None,
) -> None:
    """Serve `exports`, one or several by name, until an exception such as Ctrl-C's ends it.

    Clients come in by the Unix `socket` of that path, which is this user's alone, or by the TCP
    address `listen` (``HOST:PORT``; the machine alone without a host); without both, by what
    systemd opened. `ready` is told the clients' addresses (NBD URIs) when they can connect, `log`
    of sources that changed.

    Raises `UsageError` for what cannot be served, `SourceError` if an image cannot be read, and
    `TargetError` if nobody can connect there.
    """
    named = exports if isinstance(exports, Mapping) else {"": exports}
    with ExitStack() as stack:
        forking = may_fork() and all(getattr(each, "forkable", True) for each in named.values())
        opened = [Export.of(name, each, forking=forking) for name, each in named.items()]
        for export in opened:
            stack.enter_context(export.reader)
        listeners = tcp_sockets(listen) if listen is not None else []
        with signals_held():  # a socket is not left behind
            if socket is not None:
                listeners.append(unix_socket(require_path(socket)))
            listeners = listeners or passed_sockets()
            if not listeners:
                rule, remedy = "clients need a way in", "give the path of a socket, or an address"
                raise UsageError("", rule, remedy, "socket=PATH")
            server = Server(opened, listeners, log or (lambda _: None), forking=forking)
            stack.enter_context(server)
            addresses = () if ready is None else server.addresses()
        if ready is not None:
            ready(addresses)
        server.serve()
