"""`odnbench registry …`: the entries that can be combined, one of them, and their contracts."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from odnbench.cli.commands import Commands
from odnbench.cli.options import RegistryOption
from odnbench.cli.terminal import console, load_registry, plain

registry_app = Commands(
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
    if registry.added:
        table.add_column("from")
    entry: Any
    for name, kind in families.items():
        for entry in registry.all(kind).values():
            cells = [name, entry.name, getattr(entry, "title", "")]
            if registry.added:
                cells.append(registry.origins[name, entry.name].source)
            table.add_row(*map(plain, cells))
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


@registry_app.command("check")
def registry_check_command(registry_folders: RegistryOption = None) -> None:
    """Try the entries of plug-ins and --registry folders, or without them the shipped ones, on tiny
    inputs.

    The exit status is 0 where every entry keeps the contract of its family, 1 where one does not.
    """
    from odnbench.testing import check_added

    faults = 0
    for finding in check_added(load_registry(registry_folders), registry_folders or ()):
        faults += bool(finding.fault)
        result = Text("ok")
        if finding.fault:
            result = Text.assemble(("fault:", "red"), f" {plain(finding.fault)}")
        remark = f" ({plain(finding.remark)})" if finding.remark else ""
        told = Text.assemble(f"{finding.family} {plain(finding.name)}: ", result, remark)
        console.print(told, soft_wrap=True)
    if faults:
        raise typer.Exit(1)


def _entry_class(family: str) -> type:
    """The class of the entries of `family`; OdnbenchError for a family that does not exist."""
    from odnbench.errors import unknown
    from odnbench.plan.registry import FAMILIES

    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return FAMILIES[family]
