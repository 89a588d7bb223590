"""The HTML report as a file: nothing in it is read as markup, and it needs nothing but itself."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers import Run
from made_document import NASTY, gallery, made_document, results

from odnbench.errors import OdnbenchError, one_line
from odnbench.reports.document import Chart, Picture, Section, Table
from odnbench.reports.html import as_html, write_html
from odnbench.reports.marks import marks_of
from odnbench.reports.read import read_report
from odnbench.sweep.plan import Plan

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """What a browser reads in a page; fails where an element is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []  # outside of scripts and styles
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1] += data
        else:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """The values of an attribute, of all elements."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return as_html(made_document(tmp_path_factory.mktemp("document")))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_shown_as_it_is(page: Page, name: str) -> None:
    assert page.texts.count(one_line(name)) >= 3  # in two tables and the values of a chart


def test_what_a_document_says_adds_no_element(page: Page, tmp_path: Path) -> None:
    document = made_document(tmp_path)
    charts = [block for block in document.walk() if isinstance(block, Chart)]
    tags = [tag for tag, _ in page.elements]
    assert (tags.count("script"), tags.count("style")) == (len(charts) + 1, 1)
    assert tags.count("img") == 2  # a plot and a picture
    assert not [name for _, held in page.elements for name in held if name.startswith("on")]


def test_the_page_refers_to_nothing_but_itself(page: Page) -> None:
    addresses = [*page.values("src"), *page.values("href")]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert not page.values("style") and not page.values("srcset")
    assert not re.search(r"url\(|@import", page.raw["style"][0])
    drawings = [a for a in addresses if a.startswith("data:image/svg+xml;base64,")]
    for drawing in drawings:
        svg = base64.b64decode(drawing.partition(",")[2]).decode()
        assert "<script>" not in svg and "DOCTYPE" not in svg
        assert all(found.startswith("#") for found in re.findall(r'href="([^"]*)"', svg))
    assert len(drawings) == 1


def test_places_in_the_page_are_there_once(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [address[1:] for address in page.values("href") if address.startswith("#")]
    assert {*links, *page.values("aria-labelledby")} <= set(ids)


def test_the_policy_allows_this_style_and_this_script_alone(page: Page) -> None:
    (policy,) = (held["content"] for tag, held in page.elements if "http-equiv" in held)
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind][-1].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'; img-src data:;" in policy and "unsafe" not in policy


def test_charts_reach_the_script_as_numbers(page: Page, tmp_path: Path) -> None:
    charts = [block for block in made_document(tmp_path).walk() if isinstance(block, Chart)]
    given = [json.loads(script) for script in page.raw["script"][:-1]]
    for chart, values in zip(charts, given, strict=True):
        for panel, drawn in zip(chart.panels, values["panels"], strict=True):
            assert [c["title"] for c in drawn["curves"]] == [
                one_line(c.title) for c in panel.curves
            ]
            for curve, shown in zip(panel.curves, drawn["curves"], strict=True):
                held = [None if y != y else pytest.approx(y, rel=1e-5) for y in curve.y]
                assert (shown["title"], shown["y"]) == (one_line(curve.title), held)
                assert len(shown["low"]) == len(curve.low)


def test_marks_and_places_stand_at_their_numbers(text: str) -> None:
    table = results("summary")
    assert marks_of(table) == {"another box rule": "†", "of a flip test": "‡"}
    ranks = table.ranks(2)
    assert sorted(ranks.values()) == ["best", "second"]
    for index, rank in ranks.items():
        assert f'<bdi class="{rank}">{table.lines[index].cells[2].text}</bdi>' in text
    flipped = table.lines[5].cells[2].text
    assert f'<bdi>{flipped}</bdi><sup title="of a flip test">‡</sup>' in text
    assert '<p class="note"><sup>‡</sup> of a flip test</p>' in text


def test_folded_sections_are_closed(page: Page) -> None:
    folded = [
        held for tag, held in page.elements if (tag, held.get("class")) == ("details", "section")
    ]
    assert len(folded) == 3 and not any("open" in held for held in folded)


def test_a_document_of_next_to_nothing_is_a_page(tmp_path: Path) -> None:
    document = made_document(tmp_path)
    empty = dataclasses.replace(document, warnings=(), found=(), not_shown=(), summary=None,
                                sections=(), styles={})  # fmt: skip
    assert Page(as_html(empty)).texts.count("What was found") == 0
    bare = dataclasses.replace(
        empty, sections=(Section("a", (Table("t", (), (), ()), gallery(rows=0))),)
    )
    Page(as_html(bare))


def test_the_same_document_gives_the_same_page(text: str, tmp_path: Path) -> None:
    assert as_html(made_document(tmp_path)) == text


def test_a_picture_that_browsers_do_not_show_is_refused(tmp_path: Path) -> None:
    document = made_document(tmp_path)
    picture = Picture("scan", ("",), "", tmp_path / "scan.tiff")
    with pytest.raises(OdnbenchError, match=r"scan\.tiff: a report's picture must be \.jpg or"):
        as_html(dataclasses.replace(document, sections=(Section("a", (picture,)),)))


def test_the_command_shows_rendered_faces_and_real_ones_if_asked(
    finished: Plan, odnbench: Run, tmp_path: Path
) -> None:
    report = "report", "--format", "html", "--storage", str(finished.storage), "--out", "out"
    done = odnbench(*report)
    assert done.returncode == 0, done.stderr
    tags = [tag for tag, _ in Page((tmp_path / "out/ablation.html").read_text("utf-8")).elements]
    assert tags.count("image") > 0


def test_a_report_is_written_with_its_hard_cases(finished: Plan, tmp_path: Path) -> None:
    path = write_html(read_report(finished.file, finished.registry), tmp_path / "new" / "folder")
    assert [path] == list(path.parent.iterdir())
    assert path.name == "ablation.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert {"ced", "largest-error", "largest-disagreement"} <= set(page.values("id"))
