"""LaTeX that compiles: escapes, marks, ranks, tables beside the paper's, figures with fonts."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import REGISTRY
from made_results import Faces, Made, report_of, spread_errors
from nasty_names import NAMES

from odnbench.plan.entries import Published
from odnbench.reports.document import (
    Cell,
    Code,
    Column,
    Document,
    Items,
    Line,
    Paragraph,
    Section,
    Strong,
    Table,
)
from odnbench.reports.latex import as_latex, file_names, parts_of, write_latex
from odnbench.reports.latex_text import latex, typed
from odnbench.reports.paper_tables import paper_tables
from odnbench.reports.report import Report

NME = Column("NME, %", better="lower")


def table_of(*lines: Line, name: str = "made", columns: tuple[Column, ...] = ()) -> Table:
    return Table(name, ("what it shows",), columns or (Column("model", "text"), NME), lines)


def line(title: str, value: float, unlike: str = "", behind: str = "") -> Line:
    return Line((Cell(title), Cell(f"{value:.2f}{behind}", value, unlike)), title)


def report_with(
    tmp_path: Path, *published: str, rendered: bool = False, faces: int = 135
) -> Report:
    report = report_of(
        tmp_path / "runs",
        Made("brnet", Faces(spread_errors(0.070, faces))),
        Made("odn", Faces(spread_errors(0.050, faces))),
        rendered=rendered,
    )
    tables = tuple(REGISTRY.get(Published, name) for name in published)
    return dataclasses.replace(report, published=tables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{} $ & # _ %", r"\{\} \$ \& \# \_ \%"),
        ("\\a^~", r"\textbackslash{}a\textasciicircum{}\textasciitilde{}"),
        ("<b>|", r"\textless{}b\textgreater{}\textbar{}"),
        ("\"'`", r"\textquotedbl{}\textquotesingle{}\textasciigrave{}"),
        ("[a]*", "{[}a{]}{*}"),
        ("a--b,,", r"a-\kern0pt{}-b,\kern0pt{},"),
        ("äÉçőŽ", r"\"{a}\'{E}\c{c}\H{o}\v{Z}"),
        ("ßøŁæ", r"\ss{}\o{}\L{}\ae{}"),
        ("α×Σ≤", r"\ensuremath{\alpha}\ensuremath{\times}\ensuremath{\Sigma}\ensuremath{\leq}"),
        ("10⁻²–½", r"10\ensuremath{^{-}}\ensuremath{^{2}}\textendash{}\textonehalf{}"),
        ("אב", r"\ifdefined\directlua אב\else\texttt{U+05D0 U+05D1}\fi{}"),
        ("a\nb\x1b", r"a\textbackslash{}nb\textbackslash{}x1b"),
    ],
)
def test_text_from_outside_is_no_command(text: str, expected: str) -> None:
    assert latex(text) == expected
    assert typed(text) == f"\\texttt{{{expected}}}"


def test_a_long_word_can_be_broken() -> None:
    assert max(map(len, latex("x" * 200).split("\\allowbreak{}"))) <= 12
    assert latex("300w/challenging").startswith("300w/\\allowbreak{}")
    assert "\\allowbreak" not in latex("short words only")


def test_the_best_number_is_bold_and_the_second_underlined_among_those_alike() -> None:
    of = table_of(
        line("a", 3.0, behind=" (2.00–4.00)"), line("b", 1.0, unlike="other faces"), line("c", 4.0)
    )
    (part,) = parts_of(of, "made")
    cells = [cells[1] for _, cells in part.lines]
    assert cells == [
        r"\textbf{3.00} (2.00\textendash{}4.00)",
        r"1.00\textsuperscript{\textdagger{}}",
        r"\underline{4.00}",
    ]
    assert part.notes == (r"\textdagger{} other faces",)


def test_a_long_table_is_divided_into_pages() -> None:
    of = table_of(*(line(f"row {index}", index) for index in range(130)))
    parts = parts_of(of, "made")
    assert [len(part.lines) for part in parts] == [46, 46, 38]
    assert len({part.label for part in parts}) == 3
    assert parts[1].caption == "what it shows (part 2 of 3)"


def test_every_table_and_figure_has_a_file_of_its_own_with_a_plain_name() -> None:
    names = [*NAMES, "a b", "a_b"]
    sections = tuple(Section(name, (table_of(name=name),)) for name in names)
    files = file_names(Document("made", "", (), (), (), None, sections))
    assert len(set(files.values())) == len(set(names))
    assert all(re.fullmatch(r"tables/[A-Za-z0-9-]{1,90}\.tex", file) for file in files.values())


def test_folded_sections_stand_behind_all_others() -> None:
    paragraph = Paragraph(("text",))
    sections = (Section("Folded", (paragraph,), folded=True), Section("Open", (paragraph,)))
    text = as_latex(Document("made", "", (), (), (), None, sections))["made.tex"]
    assert text.index("{Open}") < text.index("\\appendix") < text.index("{Folded}")


def test_ours_stand_below_the_papers_figures(tmp_path: Path) -> None:
    report = report_with(tmp_path, "table2", "table4", "table3")
    tables = paper_tables(report)
    table = tables["published-table4"]
    assert [c.title for c in table.columns] == ["Method", "Year", "Challenging set"]
    ours = table.lines[6:]
    figures = [entry.cells[2].text for entry in table.lines[:6]]
    assert figures == ["7.21", "7.04", "6.88", "6.90", "6.81", "6.67"]
    assert ours[0].begins_group and not ours[1].begins_group
    assert [entry.variant for entry in ours] == [row.title for row in report.rows]
    brnet, odn = (entry.cells[2] for entry in ours)
    assert brnet.text.startswith("7.00 (") and brnet.text.endswith(")*")
    assert odn.text.startswith("5.00 (") and odn.text.endswith(")")
    assert not brnet.unlike
    assert dict(table.ranks(2)) == {7: "best", 5: "second"}
    assert any("* detectably unlike" in note[0] for note in table.notes)
    # No column of Table 3 is one of the plan.
    assert len(tables["published-table3"].lines) == 8


def test_figures_that_cannot_be_compared_say_why_and_are_not_ranked(tmp_path: Path) -> None:
    report = report_with(tmp_path, "table4", rendered=True)
    table = paper_tables(report)["published-table4"]
    assert all("rendered faces" in entry.cells[2].unlike for entry in table.lines[6:])
    assert set(table.ranks(2)) == {4, 5}
    report = report_with(tmp_path / "real", "table4")
    other = dataclasses.replace(report, unlike={"table4": "over inter-pupil, not inter-ocular"})
    table = paper_tables(other)["published-table4"]
    assert all("inter-pupil" in entry.cells[2].unlike for entry in table.lines[:6])
    assert not any(entry.cells[2].unlike for entry in table.lines[6:])
    assert set(table.ranks(2)) == {6, 7}
    table = paper_tables(report_with(tmp_path / "part", "table4", faces=40))["published-table4"]
    assert all("on 40 of 135 faces" in entry.cells[2].unlike for entry in table.lines[6:])


def test_a_figure_whose_normaliser_nobody_states_is_not_ranked_among_stated_ones(
    tmp_path: Path,
) -> None:
    report = report_with(tmp_path, "later-300w")
    (published,) = report.published
    table = paper_tables(report)["published-later-300w"]
    unstated = {index for index, row in enumerate(published.rows) if not row.normaliser}
    told = "its normaliser is not stated: whether it is comparable is not known"
    assert "D-ViT" in {published.rows[index].method for index in unstated}
    for column in range(2, len(table.columns)):
        cells = [entry.cells[column] for entry in table.lines[: len(published.rows)]]
        marked = {index for index, cell in enumerate(cells) if cell.unlike == told}
        assert marked == {index for index in unstated if cells[index].value is not None}
        assert table.ranks(column) and not unstated & set(table.ranks(column))


def test_a_report_is_a_folder_whose_files_are_all_there(tmp_path: Path) -> None:
    path = write_latex(report_with(tmp_path, "table4"), tmp_path / "out")
    assert path == tmp_path / "out" / "made-latex" / "made.tex"
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"\\(?:input|includegraphics)(?:\[[^]]*\])?\{([^}]*)\}", text)
    held = {str(file.relative_to(path.parent)) for file in path.parent.rglob("*") if file.is_file()}
    assert {"tables/published-table4.tex", "figures/ced.pdf"} <= set(named)
    assert held == {*named, "made.tex"}
    assert "pdflatex" in text.splitlines()[0]


def compiled(program: str, path: Path) -> str:
    """The text of the PDF that `program` makes of a .tex file; fails where anything runs over the
    margin, or a page is not made.
    """
    for needed in (program, "pdftotext", "pdffonts"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, timeout=400, check=False)
    log = path.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    if found := re.search(r"File `(\S+\.sty)' not found", log):
        pytest.skip(f"TeX has no {found[1]}")
    assert done.returncode == 0, log[-3000:]
    # A word may reach into the 12 pt between two columns.
    wide = [float(pt) for pt in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(wide, default=0) < 12
    pdf = path.with_suffix(".pdf")
    fonts = subprocess.run(["pdffonts", pdf], capture_output=True, text=True, check=True).stdout
    assert all(one.split()[-5] == "yes" for one in fonts.splitlines()[2:]), fonts  # embedded
    read = ["pdftotext", "-layout", str(pdf), "-"]
    return subprocess.run(read, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pdflatex", "lualatex"])
def test_nasty_names_compile_and_are_read_as_they_are(tmp_path: Path, program: str) -> None:
    lines = tuple(
        Line((Cell(name), Cell(f"{index}.00", index, name if index % 5 == 0 else ""), Cell(name)))
        for index, name in enumerate(NAMES)
    )
    columns = (Column("model [x] & more %", "text"), NME, Column("code_ü", "code"))
    table = dataclasses.replace(table_of(*lines, columns=columns), notes=tuple((n,) for n in NAMES))
    sections = tuple(
        Section(name, (Paragraph((name, Code(name), Strong(name))), Items(((name,),))))
        for name in NAMES
    )
    said = tuple((name,) for name in NAMES)
    document = Document("made", " ".join(NAMES), said, said, said, table, sections)
    (tmp_path / "tables").mkdir()
    for name, text in as_latex(document).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    text = compiled(program, tmp_path / "made.tex")
    readable = [name for name in NAMES if name.isascii() and len(name) < 50 and name.isprintable()]
    readable += ["Ümläut ß é Łódź", "two\\nlines"]
    for name in readable:
        assert name in text or name.replace("'", "\u2019") in text, name
    assert ("U+05E9" in text) == (program == "pdflatex")
    assert ("עולם" in text or "םלוע" in text) == (program == "lualatex")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pdflatex", "lualatex"])
def test_a_report_compiles_with_its_figures(tmp_path: Path, program: str) -> None:
    path = write_latex(report_with(tmp_path, "table2", "table4"), tmp_path / "out")
    text = compiled(program, path)
    assert "Challenging set" in text and "ours" in text and "Found" in text


@pytest.mark.slow
def test_a_table_goes_into_another_paper(tmp_path: Path) -> None:
    path = write_latex(report_with(tmp_path, "table4"), tmp_path / "out")
    (path.parent / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage[T1]{fontenc}\n"
        "\\usepackage{array,booktabs,graphicx}\\begin{document}\n"
        "\\input{tables/published-table4}\\input{tables/summary}\\end{document}\n"
    )
    assert "6.67" in compiled("pdflatex", path.parent / "paper.tex")
