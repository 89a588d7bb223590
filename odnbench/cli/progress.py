"""The live table of a sweep: a line per trial. Without a terminal, as in the log of a job, a trial
writes a line after every tenth of its epochs, and one when it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.records import Epoch, State


@dataclass
class _Line:
    title: str
    epochs: int
    state: str = "waiting"
    epoch: int = 0
    nme_percent: float | None = None
    best_percent: float | None = None
    seconds: float = 0.0

    def cells(self) -> list[str]:
        return [
            self.title,
            self.state,
            f"{self.epoch}/{self.epochs}",
            "" if self.nme_percent is None else f"{self.nme_percent:.2f}",
            "" if self.best_percent is None else f"{self.best_percent:.2f}",
            f"{self.seconds:.0f} s",
        ]


@dataclass
class ProgressTable(Observer):
    """Observer that keeps the table. Use it as a context: `with ProgressTable(console) as
    table`.
    """

    console: Console
    label: str  # of the faces: "300w" or "rendered"
    lines: dict[str, _Line] = field(default_factory=dict)

    def planned(self, trials: Sequence[Trial]) -> None:
        """See Observer. The trials are shown as waiting."""
        for trial in trials:
            self.lines.setdefault(trial.id, _Line(trial.title, trial.spec.train.epochs))

    def __enter__(self) -> "ProgressTable":
        self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self.planned([trial])
        self.lines[trial.id].state = "running"

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        line = self.lines[trial.id]
        line.epoch, line.nme_percent = epoch.epoch, epoch.validation_nme_percent
        best = line.best_percent
        line.best_percent = line.nme_percent if best is None else min(best, line.nme_percent)
        line.seconds += epoch.seconds
        tenths = 10 * epoch.epoch // line.epochs
        if tenths > 10 * (epoch.epoch - 1) // line.epochs and epoch.epoch < line.epochs:
            self._log(
                f"{line.title}: epoch {epoch.epoch} of {line.epochs}, validation NME "
                f"{line.nme_percent:.2f} %, best {line.best_percent:.2f} %, {line.seconds:.0f} s"
            )

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self.planned([trial])
        line = self.lines[trial.id]
        line.state = reason if reason == "reused" else state
        if state == "done":
            result = folder.result
            line.best_percent, line.seconds = result.validation_nme_percent, result.seconds
            line.epoch = line.epochs
        best = "" if line.best_percent is None else f", validation NME {line.best_percent:.2f} %"
        why = f": {reason}" if state == "failed" else ""
        self._log(f"{line.title}: {line.state}{best}, {line.seconds:.0f} s{why}")

    def _log(self, text: str) -> None:
        """Prints a line where there is no terminal to show the table on."""
        if not self.console.is_terminal:
            self.console.print(text, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(title=f"Trials on {self.label} faces", title_justify="left")
        table.add_column("trial")
        table.add_column("state")
        for name in ("epoch", "val. NME %", "best", "time"):
            table.add_column(name, justify="right")
        for line in self.lines.values():
            style = {"failed": "red", "running": "bold", "waiting": "dim"}.get(line.state)
            table.add_row(*line.cells(), style=style)
        return table
