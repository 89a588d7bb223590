"""The lease on a pipeline's folder behind a URI: one machine at a time sweeps into it.

The lease is a file that the sweeping machine writes again and again. A machine that died stops
doing so, and its lease becomes void.
"""

import io
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from odnbench.storage.remote import upload

LEASE_SECONDS = 120  # after which a lease that was not renewed is void
RENEWAL_SECONDS = 30
_NAME = ".lease"


class Lease:
    """The lease on the folder `there` of `remote`, a pyarrow.fs.FileSystem, for sweeps that work in
    the local folder `here`.

    Methods raise one of `access_errors` where `remote` cannot be used.
    """

    def __init__(self, remote: Any, here: Path, there: str):
        self.remote = remote
        self.path = f"{there}/{_NAME}"
        self.holder = {"host": socket.gethostname(), "folder": str(here.absolute())}

    def held_elsewhere(self) -> str:
        """The machine and the process that hold the lease; "" if this machine's sweeps in the same
        local folder do, or nobody.
        """
        from pyarrow.fs import FileType

        info = self.remote.get_file_info(self.path)
        if info.type != FileType.File or time.time() - info.mtime_ns / 1e9 > LEASE_SECONDS:
            return ""
        with self.remote.open_input_stream(info.path, compression=None) as stream:
            lease = json.loads(stream.read())
        ours = all(lease[key] == value for key, value in self.holder.items())
        return "" if ours else f"{lease['host']} (process {lease['pid']})"

    def renew(self) -> None:
        """Takes the lease, or keeps it for another LEASE_SECONDS."""
        content = json.dumps({**self.holder, "pid": os.getpid()}).encode()
        upload(self.remote, io.BytesIO(content), self.path)

    def release(self) -> None:
        """Gives the lease back, so that other machines may sweep. That of another one stays."""
        if not self.held_elsewhere():
            self.remote.delete_file(self.path)
