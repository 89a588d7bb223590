"""A PostgreSQL server of a test's own, where the machine has PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SYSTEM_USER = "postgres"  # the server does not run as root


def binaries() -> Path | None:
    """The folder of the server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return (found[-1] if found else Path(on_path)).parent if found or on_path else None


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """The URL of an empty database of a new server, whose files lie in `folder`; skips the test
    where there is no server.
    """
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    user = None
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = account.pw_uid
        os.chown(folder, account.pw_uid, account.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, user=user,
    )  # fmt: skip
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", str(folder), "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield f"postgresql+psycopg2://tester@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
