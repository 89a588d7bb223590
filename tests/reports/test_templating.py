"""Templates of users take the place of shipped ones, and reach nothing but the report."""

from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest
from helpers import REGISTRY
from made_results import Faces, Made, report_of, spread_errors
from matplotlib.figure import Figure

from odnbench.errors import OdnbenchError
from odnbench.reports.document import Document, Picture, Plot
from odnbench.reports.formats import write_report
from odnbench.reports.latex import as_latex
from odnbench.reports.markdown import as_markdown
from odnbench.reports.templating import Templates

DOCUMENT = Document("made", "A title", (), (), (), None, ())


def test_a_template_takes_the_place_of_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "report.tex.j2").write_text("own: << document.title >> & all\n")
    templates = Templates(tmp_path)
    templates.check(REGISTRY)
    assert as_latex(DOCUMENT, templates)["made.tex"] == "own: A title & all\n"
    assert as_markdown(DOCUMENT, templates) == as_markdown(DOCUMENT)


def test_a_format_gets_the_templates(tmp_path: Path) -> None:
    (tmp_path / "report.md.j2").write_text("{{ document.name }} of mine\n")
    report = report_of(tmp_path / "runs", Made("odn", Faces(spread_errors(0.05))))
    path = write_report(report, "markdown", tmp_path / "out", REGISTRY, Templates(tmp_path))
    assert path.read_text() == "made of mine\n"


def test_a_name_that_no_format_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reprot.tex.j2").write_text("")
    with pytest.raises(OdnbenchError, match=r"reprot\.tex\.j2'; did you mean 'report\.tex\.j2'"):
        Templates(tmp_path).check(REGISTRY)
    with pytest.raises(OdnbenchError, match="is not a folder"):
        Templates(tmp_path / "none").check(REGISTRY)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\nb\n{{ document.nothing }}", 3, "has no attribute 'nothing'"),
        ("{{ 1 // 0 }}", 1, "integer division or modulo by zero"),
        ("\n{% include 'none.j2' %}", 2, "none.j2"),
        ("{{ document | nothing }}", 1, "No filter named 'nothing'"),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    path = tmp_path / "report.md.j2"
    path.write_text(text)
    with pytest.raises(OdnbenchError) as raised:
        as_markdown(DOCUMENT, Templates(tmp_path))
    assert str(raised.value).startswith(f"{path}: line {line}: ") and why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_fault_of_a_shipped_template_shows_its_traceback() -> None:
    with pytest.raises(jinja2.UndefinedError):
        as_markdown(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expression",
    [
        "picture.path.unlink()",
        "picture.path.parent.joinpath('new').touch()",
        "plot.draw()",
        "(plot | drawn).savefig('figure.png')",
        "picture.__class__.__mro__",
        "''.__class__",
        "values.append(1)",
    ],
)
def test_a_template_reaches_no_file_and_changes_nothing(tmp_path: Path, expression: str) -> None:
    path = tmp_path / "picture.png"
    path.touch()
    own = tmp_path / "own"
    own.mkdir()
    (own / "report.md.j2").write_text(f"{{{{ {expression} }}}}")
    values: list[int] = []
    drawn: Callable[..., object] = lambda plot: Figure()  # noqa: E731
    with pytest.raises(OdnbenchError, match=r"unsafe|not safely callable"):
        Templates(own).render(
            "report.md.j2",
            {"drawn": drawn},
            picture=Picture("a", (), "", path),
            plot=Plot("a", (), "", Figure),
            values=values,
        )
    assert [item.name for item in tmp_path.rglob("*.png")] == ["picture.png"] and not values
