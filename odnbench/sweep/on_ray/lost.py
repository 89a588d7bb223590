"""Why Tune gave a trial up, told in a line."""

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayTaskError

_CURE = "run fewer side by side (a larger --cpus), or lower train.batch_size"


def why_given_up(trial: Any, attempts: int) -> str:
    """The reason of the last failure of Tune's `trial`, which was tried `attempts` times.

    Tune keeps the texts of all failures in one file, and the exception of the last one in another,
    unless memory was short. Both are read where Tune writes them: it copies them elsewhere later.
    """
    file = trial.error_file
    text = Path(file).read_text(encoding="utf-8") if file and Path(file).is_file() else ""
    # A failure begins with a line of its number and time.
    last = text.rpartition("Failure # ")[2].partition("\n")[2].strip()
    lost = f"its worker was lost {attempts} times: "
    if "running low on memory" in last:
        return f"{lost}Ray ended it because the machine was running out of memory; {_CURE}"
    if "Worker exit type: SYSTEM_ERROR" in last:
        return (
            f"{lost}its process was killed, as the system does where memory runs out, or crashed; "
            f"{_CURE}"
        )
    what = last.splitlines()[0] if last else "no reason is known"
    # A RayTaskError wraps an exception of the trial itself; the worker is alive.
    return what if isinstance(_exception_of(trial), RayTaskError) else f"{lost}{what}"


def _exception_of(trial: Any) -> object:
    file = trial.pickled_error_file
    if not file or not Path(file).is_file():
        return None
    return cloudpickle.loads(Path(file).read_bytes())
