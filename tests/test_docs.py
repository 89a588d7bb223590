"""README and docs/: links lead somewhere, commands exist, and the site shows every page."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
import yaml
from pages import CHECKOUT, DOCS, PAGES, console_commands, parse

from odnbench.cli.app import app
from odnbench.plan.registry import FAMILIES, Registry

WRITTEN = DOCS / "reference" / "registry.md"  # by docs/site_pages.py, in the site alone


@pytest.fixture(scope="module")
def site_pages() -> ModuleType:
    """docs/site_pages.py."""
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """What a `#…` in a link to `page` may name, as GitHub and the site make it of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists() or target == WRITTEN, link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_odnbench_command_exists_with_its_options(page: Path) -> None:
    program = typer.main.get_command(app)
    for command in console_commands(page.read_text(encoding="utf-8")):
        if command.startswith("odnbench ") and not command.startswith("odnbench --"):
            parse(program, command)


def test_the_site_has_every_page_once() -> None:
    text = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")

    def files(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        inner = node.values() if isinstance(node, dict) else node
        return [name for one in inner for name in files(one)]  # type: ignore[attr-defined]

    pages = [path.relative_to(DOCS).as_posix() for path in (*DOCS.rglob("*.md"), WRITTEN)]
    assert sorted(files(yaml.safe_load(text)["nav"])) == sorted(pages)


def test_the_page_of_the_registry_has_a_row_for_every_entry(
    site_pages: ModuleType, registry: Registry
) -> None:
    page = site_pages.registry_page(registry)
    assert FAMILIES.keys() - site_pages.COLUMNS.keys() == {"spaces", "published"}
    for family, columns in site_pages.COLUMNS.items():
        section = page.partition(f"\n## {family}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `(.+?)` (\|.*)$", section, flags=re.MULTILINE)
        assert [name for name, _ in rows] == list(registry.all(FAMILIES[family]))
        assert {row.count("|") for _, row in rows} == {len(columns) + 2}


def test_titles_of_entries_are_no_markup(site_pages: ModuleType) -> None:
    assert not set("<|*`[]~") & set(site_pages._cell("a|b <b> *c* `d` [e](f) ~~g~~"))


class Loaded(HTMLParser):
    """What a browser fetches when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(values.get("href") or "")
        elif tag != "a":
            self.addresses.append(values.get("src") or "")


@pytest.mark.slow
def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed (odnbench[docs])")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        for address in filter(None, loaded.addresses):
            assert not re.match(r"(https?:)?//", address), (page.name, address)
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?https?:", style.read_text(encoding="utf-8"))
