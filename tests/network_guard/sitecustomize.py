"""Refuses every connection that leaves this machine, and writes it down.

Python imports a module of this name at start-up, so each process that has this folder on PYTHONPATH is
guarded: `tests/conftest.py` puts it there for the programs that tests start. The audit hook sees every socket
of the interpreter, whoever opened it, and cannot be taken off again.
"""

import os
import sys

ATTEMPTS = "DIFFEXPLAIN_TEST_NETWORK_ATTEMPTS"
# Events whose host is looked up, and events whose second argument is the address to reach.
LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname"}
CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def is_local(host: object) -> bool:
    """Loopback, this machine's own name, or no internet address at all (a Unix socket's, say)."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return True
    return host in {"", "localhost", "::1", "0.0.0.0", "::", os.uname().nodename} or host.startswith("127.")


def refuse_what_leaves(event: str, arguments: tuple) -> None:
    """An audit hook (PEP 578).

    Raises:
        OSError: as an unreachable network would, so that a library falls back as it does offline.
    """
    if event in LOOK_UPS:
        host = arguments[0]
    elif event in CONNECTIONS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    else:
        return
    if is_local(host):
        return
    if ATTEMPTS in os.environ:
        with open(os.environ[ATTEMPTS], "a", encoding="utf-8") as file:  # noqa: PTH123 (no imports at start-up)
            file.write(f"{event} {host!r}\n")
    raise OSError(f"the tests stay on this machine, and {event} would reach {host!r}")


sys.addaudithook(refuse_what_leaves)
