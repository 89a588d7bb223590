"""What `model.pretrained` may be: "none", weights that a library publishes under a name, a file, or
a URL with the checksum of the file behind it, as https://host/name.safetensors#sha256=HEX.
"""

import re
from pathlib import Path
from typing import NamedTuple

from odnbench.errors import OdnbenchError
from odnbench.files.digest import sha256_of
from odnbench.plan.paths import path_of

# "imagenet", IMAGENET1K_V1, a1_in1k, …; a weights file has a suffix.
_NAME = re.compile(r"\w{1,64}")
_CHECKSUM = re.compile(r"sha256=([0-9a-fA-F]{64})")


class RemoteFile(NamedTuple):
    """A file behind a URL, whose content is known beforehand."""

    url: str
    sha256: str  # in small hex digits


def weights_digest(pretrained: str) -> str:
    """SHA-256 of the content of the file that `pretrained` names, here or behind a URL; "" where it
    names none. Raises OdnbenchError where `weights_url` or `weights_file` does.
    """
    if remote := weights_url(pretrained):
        return remote.sha256
    file = weights_file(pretrained)
    return sha256_of(file) if file else ""


def weights_url(pretrained: str) -> RemoteFile | None:
    """The URL that `pretrained` is, or None; OdnbenchError for a URL without a checksum."""
    if not pretrained.startswith(("https://", "http://")):
        return None
    url, _, fragment = pretrained.partition("#")
    checksum = _CHECKSUM.fullmatch(fragment)
    if checksum is None:
        raise OdnbenchError(
            f"model.pretrained: {pretrained} must end in the checksum of its file, as {url}"
            "#sha256=HEX with 64 hex digits; `sha256sum FILE` tells it of a file that you trust"
        )
    return RemoteFile(url, checksum[1].lower())


def weights_file(pretrained: str) -> Path | None:
    """The weights file that `pretrained` is, or None; OdnbenchError if the file is absent."""
    if _NAME.fullmatch(pretrained) or weights_url(pretrained):
        return None
    path = path_of(pretrained)
    try:
        there = path.is_file()
    except OSError:  # a name that no file can have
        there = False
    if not there:
        raise OdnbenchError(
            f"model.pretrained: {path} is not there; give 'none', 'imagenet' or a weights file"
        )
    return path
