"""Numbers as people read them, for all formats that are text and for the command line."""

from odnbench.metrics.significance import Comparison
from odnbench.reports.report import Measured

NOTHING = "–"


def with_interval(number: Measured | None) -> str:
    """Mean, ± standard deviation over seeds where there are several, and its interval."""
    if number is None:
        return NOTHING
    text = f"{number.mean:.2f}"
    if number.deviation is not None:
        text += f" ± {number.deviation:.2f}"
    if number.interval is not None:
        text += f" ({number.interval.low:.2f}–{number.interval.high:.2f})"
    return text


def rounded(number: Measured | None) -> str:
    """The mean over seeds, to one digit after the point."""
    return NOTHING if number is None else f"{number.mean:.1f}"


def counted(number: int | None) -> str:
    """A whole number with commas between its thousands."""
    return NOTHING if number is None else f"{number:,}"


def relative(comparison: Comparison) -> str:
    """A difference in percent of the reference's mean, with its interval."""
    ends = (comparison.interval.low, comparison.interval.high)
    low, high = (100 * end / comparison.reference_mean for end in ends)
    return f"{comparison.percent:+.1f} % ({low:+.1f} to {high:+.1f})"
