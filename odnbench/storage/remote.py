"""Single files behind a URI: written and read whole, and what is told where they cannot be."""

import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from odnbench.errors import without_secrets


def upload(remote: Any, file: BinaryIO, path: str) -> None:
    """Writes `file` to `path` of `remote`, a pyarrow.fs.FileSystem, where others see all or nothing
    of it.
    """
    # An object store shows an object once it is whole. In a folder, the file is written under
    # another name and renamed.
    is_folder = remote.type_name == "local"
    folder, _, name = path.rpartition("/")
    target = f"{folder}/.{name}.{os.getpid()}" if is_folder else path
    if is_folder:
        remote.create_dir(folder)
    with remote.open_output_stream(target, compression=None) as stream:
        shutil.copyfileobj(file, stream)
    if is_folder:
        remote.move(target, path)


def download(remote: Any, path: str, target: Path, changed_ns: int) -> None:
    """Writes the file at `path` of `remote`, a pyarrow.fs.FileSystem, to `target`, whole or not at
    all.

    changed_ns: the time of the file's last change, in nanoseconds since the epoch, which `target`
    is given too.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with (
            remote.open_input_stream(path, compression=None) as stream,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(stream, file)
        os.utime(temporary, ns=(changed_ns, changed_ns))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def access_errors() -> tuple[type[Exception], ...]:
    """The exceptions that pyarrow raises where a file system cannot be used."""
    import pyarrow as pa

    return OSError, pa.ArrowException


def cannot_be_used(place: object, error: Exception) -> str:
    """The message of an access error; `place` is shown as its text."""
    return (
        f"{place} cannot be used: {reason_of(error)}; credentials are taken from the environment, "
        "as the tools of that file system do"
    )


def reason_of(error: Exception) -> str:
    """The text of an error in one line, without the passwords of the URIs in it."""
    return without_secrets(" ".join(str(error).split())) or type(error).__name__
