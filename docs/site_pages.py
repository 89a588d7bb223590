"""Pages of the site that are written from the registry: a hook of MkDocs (mkdocs.yml).

The tables come through odnbench's own reader, so that the page shows what a command would find.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from odnbench.plan.registry import FAMILIES, Registry
from odnbench.plan.shipped import shipped

PAGE = "reference/registry.md"

# Family → the fields that the table of its entries shows beside name and title.
COLUMNS = {
    "backbones": ("options", "member"),
    "slots": ("place", "default"),
    "modules": ("slot", "options"),
    "heads": ("takes", "criterion", "options"),
    "criteria": ("on", "unit", "options"),
    "weights": ("symbol", "default", "low", "high"),
    "augmentations": ("reference", "occludes", "options"),
    "datasets": ("scheme", "protocol", "flags", "parts", "splits"),
    "schemes": ("points",),
    "maps": ("takes", "gives", "source"),
    "boxes": ("source", "shape", "factor", "grown"),
    "protocols": (
        "scheme", "normaliser", "visibility", "averaging", "box", "thresholds_percent", "error",
    ),
    "metrics": ("unit", "better", "per_threshold"),
    "variants": ("changes", "factors"),
    "formats": ("templates",),
}  # fmt: skip


def registry_page(registry: Registry) -> str:
    """The page of all entries of `registry`, as Markdown."""
    parts = [
        "# Registry",
        "What odnbench ships in `registry/`. `odnbench registry list` shows the same with your own "
        "entries, and `odnbench registry show FAMILY NAME` everything of one. How to add entries: "
        "[Extending](../extending.md). Published figures: [the leaderboard](../leaderboard.md).",
    ]
    for family, columns in COLUMNS.items():
        kind = FAMILIES[family]
        head = ("name", "title", *columns)
        rows = [
            [f"`{entry.name}`", *(_cell(getattr(entry, name)) for name in head[1:])]
            for entry in registry.all(kind).values()
        ]
        lines = [" | ".join(row) for row in ([*head], ["---"] * len(head), *rows)]
        parts += [f"## {family}", inspect.getdoc(kind) or "", "\n".join(f"| {x} |" for x in lines)]
        if contract := _head_of_file(family):
            parts.append(f'```text title="registry/{family}.toml"\n{contract}\n```')
    return "\n\n".join(parts) + "\n"


def _head_of_file(family: str) -> str:
    """The comment with which the shipped file of a family begins: what its targets must do."""
    lines = (shipped("registry") / f"{family}.toml").read_text(encoding="utf-8").splitlines()
    comment = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in comment)


def _cell(value: Any) -> str:
    """A value of an entry as text of a table's cell."""
    if isinstance(value, Mapping):
        named = (_cell(getattr(inner, "faces", inner)) for inner in value.values())
        text = ", ".join(f"{key} {inner}" for key, inner in zip(value, named, strict=True))
    elif isinstance(value, tuple):
        text = ", ".join(map(_cell, value))
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return _escaped(text)


def _escaped(text: str) -> str:
    """`text` without markup of Markdown or HTML, and without an end of the cell."""
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"&#{ord(c)};" if c in "|*_`[]~" else c for c in text)


def on_files(files: Any, config: Any) -> Any:
    """Adds the page to the files of the site; MkDocs calls it."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=registry_page(Registry.load())))
    return files
