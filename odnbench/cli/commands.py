"""Groups of commands, which take paths as people write them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.models import CommandFunctionType

from odnbench.plan.paths import path_of


class Commands(typer.Typer):
    """A Typer whose commands get `~` in each path as the home folder: of arguments, of options, and
    of environment variables that stand for options.
    """

    def command(
        self, name: str | None = None, **options: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """See Typer."""
        register = super().command(name, **options)

        def add(function: CommandFunctionType) -> CommandFunctionType:
            @functools.wraps(function)
            def with_homes(**arguments: Any) -> Any:
                return function(**{key: _with_home(value) for key, value in arguments.items()})

            register(with_homes)
            return function

        return add


def _with_home(value: Any) -> Any:
    """`value` with the paths in it expanded: a path, a list of paths, or anything else."""
    if isinstance(value, list):
        return [_with_home(item) for item in value]
    return path_of(value) if isinstance(value, Path) else value
