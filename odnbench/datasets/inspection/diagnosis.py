"""What the doctor says of a data set.

A finding is a fault, which makes numbers wrong or a run fail, or a note, which odnbench can handle
but other tools may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Number of examples that a finding shows.
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A fault of a data set, or a note about it."""

    check: str
    is_fault: bool
    where: str  # name of a part, or of the whole data set
    message: str
    cure: str
    examples: tuple[str, ...] = ()


def counted(found: Sequence[str]) -> str:
    """The number of faces in `found`, as "1 face" or "2 faces"."""
    return "1 face" if len(found) == 1 else f"{len(found)} faces"


def examples(found: Sequence[str]) -> tuple[str, ...]:
    """The first few of `found`, and a line with the number of the others."""
    more = (f"… and {len(found) - _SHOWN} more",) if len(found) > _SHOWN else ()
    return (*found[:_SHOWN], *more)


@dataclass(frozen=True)
class PartCount:
    """Number of faces of a part that have both picture and annotation."""

    part: str
    faces: int
    official: int  # number of faces of the official part


@dataclass(frozen=True)
class Diagnosis:
    """The findings on one data set."""

    dataset: str
    root: str
    rendered: bool
    counts: tuple[PartCount, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no finding is a fault; there may be notes."""
        return not any(finding.is_fault for finding in self.findings)

    def text(self) -> str:
        """The diagnosis as lines of text, faults before notes."""
        counts = ", ".join(f"{c.part} {c.faces} of {c.official}" for c in self.counts)
        rendered = " (rendered faces)" if self.rendered else ""
        lines = [f"{self.dataset} in {self.root}{rendered}", f"  faces: {counts}"]
        for finding in sorted(self.findings, key=lambda f: not f.is_fault):
            mark = "FAULT" if finding.is_fault else "note "
            lines.append(f"  {mark} {finding.check}: {finding.where}: {finding.message}")
            lines += [f"          {_printable(example)}" for example in finding.examples]
            if finding.cure:
                lines.append(f"        → {finding.cure}")
        if self.healthy:
            lines.append("  no fault found")
        return "\n".join(lines)


def _printable(text: str) -> str:
    """`text` with escapes for what no terminal shows, such as a line end in the name of a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
