"""The source code behind registry entries that are not ours, so that a content id covers it.

Imports are read from the source text; nothing is run. A module that is imported under a computed
name is therefore not seen, nor is a data file that the code reads.
"""

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import all_suffixes
from pathlib import Path

_OWN_PACKAGE = __name__.partition(".")[0]


def source_digest(target: str) -> str:
    """Hash of the source code behind `target` ("package.module:Name").

    It covers the target's module and the modules of the same package that are imported, directly or
    through others; where the package is not installed but lies in a project's folder, also modules
    imported from that folder. The hash is "" for a target of odnbench, whose code ENGINE_VERSION
    stands for, and for a target that cannot be found.
    """
    module = target.partition(":")[0]
    top = module.partition(".")[0]
    home = _home_of(top) if module and top != _OWN_PACKAGE else None
    if home is None:
        return ""
    is_installed = home in _installed_in()
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        first = name.partition(".")[0]
        if name in files or first == _OWN_PACKAGE or (is_installed and first != top):
            continue
        file = _file_of(name)
        if file is None or not file.is_relative_to(home):
            continue
        files[name] = file
        parts = name.split(".")
        waiting += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        stat = file.stat()
        waiting += _imported_modules(file, stat.st_mtime_ns, stat.st_size, name)
    if module not in files:
        return ""
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _installed_in() -> set[Path]:
    """The folders of installed packages; an environment may be reached by way of links."""
    places = [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()]
    return {Path(path).resolve() for path in places}


def _home_of(top: str) -> Path | None:
    """The folder in which the top-level module or package `top` lies; None if there is none."""
    file, folders = _top_level(top)
    if folders:
        return folders[0].parent
    return None if file is None else file.parent


def _file_of(module: str) -> Path | None:
    """The file of `module`, found without importing its package; None if there is none."""
    top, *inner = module.split(".")
    file, folders = _top_level(top)
    for name in inner:
        file, folders = _inside(folders, name)
    return file


def _top_level(name: str) -> tuple[Path | None, list[Path]]:
    """The file of a top-level module, and the folders of it where it is a package."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None:
            file = Path(spec.origin).resolve() if spec.has_location and spec.origin else None
            return file, [Path(p).resolve() for p in spec.submodule_search_locations or ()]
    return None, []


def _inside(folders: Sequence[Path], name: str) -> tuple[Path | None, list[Path]]:
    """The same for the module `name` in a package that has `folders`; one without __init__.py has
    folders and no file.
    """
    for folder in folders:
        if (package := folder / name / "__init__.py").is_file():
            return package, [package.parent]
        for suffix in all_suffixes():
            if (file := folder / f"{name}{suffix}").is_file():
                return file, []
    return None, [folder / name for folder in folders if (folder / name).is_dir()]


@lru_cache(maxsize=1024)
def _imported_modules(file: Path, mtime_ns: int, size: int, module: str) -> tuple[str, ...]:
    """Names of the modules that the source in `file` may import, in any of its scopes.

    mtime_ns and size are there for the cache: an edited file is read again.
    """
    if file.suffix != ".py":
        return ()
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # reported when the module is imported
        return ()
    is_package = file.name == "__init__.py"
    return tuple(dict.fromkeys(_imported_names(tree, module.split("."), is_package)))


def _imported_names(tree: ast.AST, module: Sequence[str], is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module[: len(module) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
