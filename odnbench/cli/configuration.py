"""The user's configuration file, `config.toml` in odnbench's folder of settings."""

from dataclasses import dataclass
from pathlib import Path

import typer


@dataclass(frozen=True)
class Configuration:
    """What the file may hold; options and environment variables come before it."""

    data_root: str = ""  # folder of the data sets


def configuration() -> Configuration:
    """The user's configuration. Raises OdnbenchError for a file that cannot be read, an unknown
    key, or a value of the wrong type.
    """
    file = Path(typer.get_app_dir("odnbench")) / "config.toml"
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Configuration()
    except OSError:  # read_toml says what it is
        pass
    from odnbench.plan.conversion import from_mapping
    from odnbench.plan.toml import read_toml

    return from_mapping(Configuration, read_toml(file), str(file))
