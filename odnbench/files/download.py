"""Files from the internet, whose content is known beforehand by its checksum."""

import hashlib
import os
import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from odnbench.errors import OdnbenchError
from odnbench.files.digest import sha256_of
from odnbench.files.whole import flush

_TIMEOUT_S = 60
_PIECE = 1 << 20  # bytes read at a time


def download(url: str, sha256: str, folder: Path) -> Path:
    """The file behind `url`, kept as `folder`/`sha256`/its name, downloaded unless it is there.

    A file is there whole or not at all. Raises OdnbenchError if `url` names no file, cannot be
    reached, or gives another content than `sha256` (hex digits) says; nothing is kept then.
    """
    name = Path(unquote(urlsplit(url).path)).name
    if not name:
        raise OdnbenchError(f"{url}: the URL must end in the name of a file")
    path = folder / sha256 / name
    if path.is_file() and sha256_of(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=f".{name}.", dir=path.parent)
    temporary, digest = Path(partial), hashlib.sha256()
    try:
        with os.fdopen(descriptor, "wb") as file, urlopen(url, timeout=_TIMEOUT_S) as answer:
            while piece := answer.read(_PIECE):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sha256:
            raise OdnbenchError(
                f"{url}: the file has the checksum {digest.hexdigest()}, not {sha256}; it is not "
                "the file that was meant, or was damaged on its way"
            )
        flush(temporary)
        temporary.replace(path)
    except (OSError, ValueError, HTTPException) as error:  # ValueError: of a malformed URL
        reason = error.reason if isinstance(error, URLError) else error
        raise OdnbenchError(
            f"{url}: cannot be downloaded ({reason}); give a local file, or try again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
