"""Installed packages that bring registry entries of their own.

A package names its folder of TOML files in its pyproject.toml, as PACKAGE:FOLDER:

    [project.entry-points."odnbench.registry"]
    my-plugin = "my_package:registry"
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from odnbench.errors import OdnbenchError

GROUP = "odnbench.registry"


@dataclass(frozen=True)
class Plugin:
    """The registry folder of an installed package, under the name of the entry point."""

    name: str
    folder: Path


def installed_plugins() -> list[Plugin]:
    """All installed plug-ins, in the order of their names.

    Raises OdnbenchError for a plug-in whose package or folder is not there.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [Plugin(point.name, _folder_of(point)) for point in points]


def _folder_of(point: EntryPoint) -> Path:
    # Of the top package alone: to find a module below it would run the package.
    spec = find_spec(point.module.partition(".")[0])
    places = spec.submodule_search_locations if spec is not None else None
    below = Path(*point.module.split(".")[1:], *(point.attr or "registry").split("."))
    for place in places or ():
        if (Path(place) / below).is_dir():
            return Path(place) / below
    raise OdnbenchError(
        f"plug-in '{point.name}': its entry point '{point.value}' must name a package and a folder "
        f"in it, as my_package:registry; '{point.module.partition('.')[0]}' has no folder '{below}'"
    )
