"""`odnbench registry …`: what can be combined, and what an entry says."""

from typing import Annotated, Any

import typer
from rich.table import Table

from odnbench.cli.options import RegistryOption
from odnbench.cli.terminal import console, load_registry, plain

registry_app = typer.Typer(
    help="What can be combined: backbones, modules, variants, …", no_args_is_help=True
)


@registry_app.command("list")
def registry_list_command(
    family: Annotated[str | None, typer.Argument(help="A family; default: all.")] = None,
    registry_folders: RegistryOption = None,
) -> None:
    """List what is registered."""
    from odnbench.plan.registry import FAMILIES

    families = FAMILIES if family is None else {family: _entry_class(family)}
    registry = load_registry(registry_folders)
    table = Table("family", "name", "title", box=None)
    entry: Any
    for name, kind in families.items():
        for entry in registry.all(kind).values():
            table.add_row(name, plain(entry.name), plain(getattr(entry, "title", "")))
    console.print(table)


@registry_app.command("show")
def registry_show_command(
    family: Annotated[str, typer.Argument(help="A family: backbones, modules, …")],
    name: Annotated[str, typer.Argument(help="An entry of it.")],
    registry_folders: RegistryOption = None,
) -> None:
    """Show one entry."""
    from odnbench.plan.conversion import to_mapping

    kind = _entry_class(family)
    entry: Any = load_registry(registry_folders).get(kind, name)
    console.print_json(data=to_mapping(entry))


def _entry_class(family: str) -> type:
    """The class of the entries of `family`; OdnbenchError for a family that does not exist."""
    from odnbench.errors import unknown
    from odnbench.plan.registry import FAMILIES

    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return FAMILIES[family]
