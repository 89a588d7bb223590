"""Addresses of Ray clusters, looked at before Ray is: Ray itself waits for minutes for a cluster
that does not answer.
"""

import os
import re
import socket

from odnbench.errors import OdnbenchError

_SECONDS = 3.0  # in which a machine must answer
# A client's greeting in HTTP/2, which Ray speaks, with an empty frame of settings. A server answers
# with settings of its own, a frame of type 4.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def check_address(address: str) -> None:
    """Raises OdnbenchError unless `address` is "auto", which Ray looks up when the sweep starts, or
    HOST:PORT of a server that may be Ray's.
    """
    if address == "auto":
        return
    if "://" in address:
        raise OdnbenchError(
            f"--address {address}: trials are started on a machine of the cluster, not by way of a "
            "Ray Client; log in there and give --address auto (docs/cluster.md)"
        )
    match = re.fullmatch(r"\[?([^\s\[\]/]+?)\]?:(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 2**16:
        raise OdnbenchError(
            f"--address must be HOST:PORT, auto, or local for this machine, got '{address}'; "
            "`ray start --head` prints the address of the cluster that it starts"
        )
    try:
        _greet(match[1], int(match[2]))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OdnbenchError(
            f"--address {address}: no Ray cluster answers there: {reason}; docs/cluster.md says "
            "how to start one"
        ) from error


def _greet(host: str, port: int) -> None:
    """Raises OSError where nothing listens at `host` and `port` or what does is not Ray."""
    with socket.create_connection((host, port), timeout=_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return  # then the greeting would be an encrypted one
        connection.sendall(_GREETING)
        answer = connection.recv(9)
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise OSError("another server listens there")
