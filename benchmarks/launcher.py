"""Run one command and report what it cost. A process of its own, on purpose.

Linux counts the memory that a process had before ``exec`` in its peak RSS, so whatever starts
the command sets the least that can be measured. This interpreter is started with ``-I -S``,
imports next to nothing and needs about 8 MB; that floor is reported as well.

``wait4`` gives the largest peak among the command and every descendant that it waited for,
so forked workers and the children of a shell count, each by itself.

Usage: ``python -I -S launcher.py REPORT_FD discard|keep COMMAND ARGUMENT...``. With ``discard``
the command writes to a pipe that is read here and thrown away.

The report is one line: seconds, user seconds, system seconds, peak RSS in KiB, floor in KiB,
bytes read from the pipe, and the exit code.
"""

from __future__ import annotations

import os
import sys
import time

PIPE_READ = 1 << 20


def drain(descriptor: int) -> int:
    """Read until the end; the number of bytes."""
    buffer = bytearray(PIPE_READ)
    total = 0
    while count := os.readv(descriptor, [buffer]):
        total += count
    return total


def main() -> None:
    """Run the command of ``sys.argv`` and write the report."""
    report, discard, command = int(sys.argv[1]), sys.argv[2] == "discard", sys.argv[3:]
    os.set_inheritable(report, False)
    actions: list[tuple[int, int, int]] = []
    if discard:
        reading, writing = os.pipe()
        actions.append((os.POSIX_SPAWN_DUP2, writing, 1))
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    piped = 0
    if discard:
        os.close(writing)
        piped = drain(reading)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    _, _, own = os.wait4(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
    code = os.waitstatus_to_exitcode(status)
    line = (
        f"{seconds} {usage.ru_utime} {usage.ru_stime} {usage.ru_maxrss} {own.ru_maxrss}"
        f" {piped} {code}\n"
    )
    os.write(report, line.encode("ascii"))


main()
