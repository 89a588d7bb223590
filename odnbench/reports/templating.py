"""The templates of reports: those of reports/templates/, and a folder of the user's own in front.

Templates run in jinja2's sandbox, since a template may come with somebody else's paper: a template
reads the values of a report and calls their methods, and can reach no file, picture or process.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from odnbench.errors import OdnbenchError, one_line, unknown
from odnbench.plan.entries import Format
from odnbench.plan.registry import Registry
from odnbench.plan.shipped import shipped

# Where the values of reports are defined; results/ and storage/ are not here, whose methods write.
_VALUES = ("odnbench.reports.", "odnbench.plan.", "odnbench.metrics.", "odnbench.scoring.")


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox in which a path, a figure and an array have no methods."""

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether a template may call `obj`: a function that was given to it, or a method of a
        plain value or of one of a report's.
        """
        if any(obj is given for given in self.globals.values()):
            return True
        owner = getattr(obj, "__self__", None)
        home = f"{(obj if owner is None else type(owner)).__module__}."
        allowed = ("builtins.", "jinja2.") if owner is None else ("builtins.", "jinja2.", *_VALUES)
        return bool(super().is_safe_callable(obj)) and home.startswith(allowed)


@dataclass(frozen=True)
class Templates:
    """Templates, and the files that stand beside them, by name."""

    own: Path | None = None  # a folder whose files take the place of the shipped ones

    def check(self, registry: Registry) -> None:
        """Raises OdnbenchError where `own` is no folder, or has a file that no format reads."""
        if self.own is None:
            return
        if not self.own.is_dir():
            raise OdnbenchError(f"{self.own} is not a folder; give one with templates of your own")
        known = {name for entry in registry.all(Format).values() for name in entry.templates}
        for path in sorted(self.own.glob("[!.]*")):
            if path.name not in known:
                raise OdnbenchError(f"{self.own}: {unknown('template', path.name, known)}")

    def text(self, name: str) -> str:
        """The file `name` as it is, such as a style sheet."""
        path = next((p for folder in self._folders if (p := folder / name).is_file()), None)
        if path is None:
            raise OdnbenchError(f"there is no template {name}; put it into a folder of --templates")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise OdnbenchError(
                f"{path}: cannot be read as a template in UTF-8: {error}"
            ) from error

    def render(
        self,
        name: str,
        filters: Mapping[str, Callable[..., object]],
        functions: Mapping[str, Callable[..., object]] | None = None,
        escape: Callable[[object], object] | None = None,
        marks: Mapping[str, str] | None = None,
        **values: object,
    ) -> str:
        """The text that the template `name` makes of `values`.

        functions: what the template may call by name. escape: makes text of each value that is
        printed; by default it is escaped for HTML, in one line. marks: other signs than jinja2's
        around statements and values. Raises OdnbenchError that names file and line of a fault in a
        template of `own`.
        """
        environment = _Environment(
            loader=jinja2.FunctionLoader(self._source),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=escape is None,
            finalize=escape or _in_one_line,
            **(marks or {}),
        )
        environment.filters |= filters
        environment.globals |= functions or {}
        try:
            return environment.get_template(name).render(values)
        except Exception as error:  # a template can raise whatever its expressions do
            if (place := self._place_of(error)) is None:
                raise
            raise OdnbenchError(f"{place}: {one_line(error) or type(error).__name__}") from error

    @property
    def _folders(self) -> list[Path]:
        return [*([self.own] if self.own else []), shipped("reports/templates")]

    def _source(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        """What jinja2 asks a loader for: a template's text, its file, and whether it is as it was;
        None for a name that no folder has.
        """
        # A template may name another one that it includes; no name leads out of the folders.
        paths = [folder / Path(name).name for folder in self._folders]
        path = next((path for path in paths if path.is_file()), None)
        return None if path is None else (self.text(path.name), str(path), lambda: True)

    def _place_of(self, error: Exception) -> str | None:
        """File and line of the fault in a template of the user's; None where it is not in one."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            places = [(error.filename or "", error.lineno)]
        else:
            frames = traceback.extract_tb(error.__traceback__)
            places = [(frame.filename, frame.lineno or 0) for frame in frames]
        own = [(file, line) for file, line in places if self.own and Path(file).parent == self.own]
        return f"{own[-1][0]}: line {own[-1][1]}" if own else None


def _in_one_line(value: object) -> object:
    return value if isinstance(value, Markup) else one_line(value)


SHIPPED = Templates()
