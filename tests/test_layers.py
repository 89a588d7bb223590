"""The one-way flow (docs/architecture.md): which module may import what, for every module."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import odnbench

PACKAGE = Path(odnbench.__file__).parent

# From the bottom up: a room imports only rooms of an earlier line.
LAYERS = (
    ("errors", "arrays", "__init__"),
    ("files",),
    ("plan",),
    ("datasets", "metrics", "networks", "results"),
    ("losses", "scoring", "storage"),
    ("engine", "reports"),
    ("sweep", "tracking"),
    ("bench", "testing"),
    ("cli",),
    ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# Where a library may be imported, inside of functions too; whatever imports such a room at its top
# level gets the library as well.
HOMES = {
    "torch": (
        "networks",
        "losses",
        "engine",
        "sweep",
        "bench",
        "testing",
        "cli.bench",
        "tracking.network",
    ),
    "torchvision": ("networks.torchvision_import",),
    "timm": ("networks.backbones.timm_features",),
    "ray": ("sweep.on_ray",),
    "optuna": ("sweep.study",),
    "mlflow": ("tracking",),
}
# Rooms that are imported where the library is absent.
WITHOUT = {
    "torch": ("plan", "datasets", "metrics", "results", "scoring", "storage", "reports", "tracking",
              "cli"),
    "ray": ("plan", "datasets", "metrics", "results", "scoring", "storage", "reports", "tracking",
            "networks", "losses", "engine", "cli"),
    "optuna": ("plan", "datasets", "metrics", "results", "scoring", "storage", "reports",
               "tracking", "networks", "losses", "engine", "cli", "sweep.on_ray"),
    "mlflow": ("plan", "datasets", "metrics", "results", "scoring", "storage", "reports",
               "networks", "losses", "engine", "sweep", "cli"),
}  # fmt: skip
WITHOUT["torchvision"] = WITHOUT["torch"]


def name_of(path: Path) -> str:
    """A module's name below the package: "plan.specs", and "plan" of its __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """Full names that import statements name, as modules and as what is taken from them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def at_top(path: Path) -> set[str]:
    """What is imported when the module is."""
    tree = ast.parse(path.read_text())
    blocks = [n for n in tree.body if isinstance(n, ast.Try | ast.With | ast.If)]
    guarded = [
        n for n in blocks if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))
    ]
    inside = [inner for block in guarded for inner in ast.walk(block)]
    return set(imported([*tree.body, *inside]))  # type: ignore[list-item]


@cache
def anywhere(path: Path) -> set[str]:
    return set(imported(ast.walk(ast.parse(path.read_text()))))


def own(names: set[str]) -> set[str]:
    """The modules of the package among imported names, without its name."""
    below = {name.removeprefix("odnbench.") for name in names if name.startswith("odnbench.")}
    return {name for name in below if name in MODULES}


def room(module: str) -> str:
    return module.partition(".")[0]


def is_in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_every_module_has_its_layer() -> None:
    assert {room(module) for module in MODULES} == RANK.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    for other in own(anywhere(MODULES[module])):
        assert room(other) == room(module) or RANK[room(other)] < RANK[room(module)], other


def test_the_house_is_small() -> None:
    arrows = {
        (room(module), room(other))
        for module, path in MODULES.items()
        for other in own(anywhere(path))
        if room(module) != room(other)
    }
    assert len(RANK) <= 20
    assert len(LAYERS) <= 10
    assert len(arrows) <= 90


@pytest.mark.parametrize("library", HOMES)
def test_a_large_library_is_imported_at_home_alone(library: str) -> None:
    for module, path in MODULES.items():
        if any(name.partition(".")[0] == library for name in anywhere(path)):
            assert is_in(module, HOMES[library]), module


@pytest.mark.parametrize("library", WITHOUT)
def test_a_room_can_be_imported_where_a_library_is_absent(library: str) -> None:
    """Transitively: no chain of imports at top level leads from the room to the library."""
    for start in (module for module in MODULES if is_in(module, WITHOUT[library])):
        if is_in(start, HOMES[library]):
            continue
        waiting, seen = [start], {start}
        while waiting:
            names = at_top(MODULES[waiting.pop()])
            found = [name for name in names if name.partition(".")[0] == library]
            assert not found, f"{start} comes to {found} by way of {sorted(seen)}"
            parents = {
                ".".join(n.split(".")[:d]) for n in own(names) for d in range(1, n.count(".") + 1)
            }
            new = (own(names) | (parents & MODULES.keys())) - seen
            seen |= new
            waiting += new


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long_and_no_function(module: str) -> None:
    text = MODULES[module].read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_folders_of_data_hold_no_python() -> None:
    root = PACKAGE.parent
    for folder in ("registry", "pipelines", "reports"):
        assert not list((root / folder).rglob("*.py"))
