"""What a sweep writes is pushed to a URI while it is at work."""

from collections.abc import Callable, Sequence
from queue import Empty, Queue
from threading import Event, Lock, Thread
from types import TracebackType

from odnbench.errors import OdnbenchError
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import is_at_work
from odnbench.results.records import Epoch, State
from odnbench.storage.lease import LEASE_SECONDS, RENEWAL_SECONDS
from odnbench.storage.place import ResultStore
from odnbench.storage.remote import access_errors, cannot_be_used


class StorageMirror(Observer):
    """Observer that pushes what a sweep writes, in a thread of its own, so that the sweep never
    waits for it.

    Use it as a context around the sweep. The context begins with a lease, so that no other machine
    sweeps into the same place, and with a pull; it ends with a push of all that is missing. If the
    connection is lost meanwhile, people are told once, and the push is tried again, unless another
    machine has gone on with the sweep meanwhile: then nothing more is pushed. For a store without a
    URI, the observer does nothing.

    tell: takes a line for people. `complete`: after the context, whether all results are in the
    store.
    """

    def __init__(self, store: ResultStore, pipeline: str, tell: Callable[[str], None] = print):
        self.store, self.pipeline, self.tell = store, pipeline, tell
        self.complete = store.remote is None
        self._copies, self._lease = store.copies(pipeline), store.lease(pipeline)
        self._queue: Queue[str | None] = Queue()  # ids of trials, "" for the plan, None at the end
        self._pusher = Thread(target=self._push_until_the_end, name="storage", daemon=True)
        self._keeper = Thread(target=self._keep_lease, name="lease", daemon=True)
        self._ending, self._telling = Event(), Lock()
        self._lost = self._taken = False

    def __enter__(self) -> "StorageMirror":
        if self.store.remote is None:
            return self
        if is_at_work(here := self._copies.here):
            self.tell(
                f"another command is at work in {here}, which pushes to {self.store}; what it has "
                "not pushed in the end, the same command pushes later"
            )
            return self
        try:
            if holder := self._lease.held_elsewhere():
                raise OdnbenchError(
                    f"another sweep is at work in {self.store}, that of {holder}; wait for "
                    f"it (if it was killed: {LEASE_SECONDS // 60} minutes), or give this one "
                    "another --storage"
                )
            self._lease.renew()
        except access_errors() as error:
            raise OdnbenchError(cannot_be_used(self.store, error)) from error
        self._keeper.start()
        try:
            self.store.pull([self.pipeline], progress=True)
        except BaseException:
            self._ending.set()
            raise
        self._copies = self.store.copies(self.pipeline)
        self._pusher.start()
        return self

    def planned(self, trials: Sequence[Trial]) -> None:
        """See Observer."""
        self._queue.put("")

    def started(self, trial: Trial) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        """See Observer."""
        self._queue.put(trial.id)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._pusher.is_alive():
            return
        self._queue.put(None)
        self._pusher.join()
        try:
            if self._is_taken():
                return
            self._copies.push(self._copies.trials())
            self._stop_keeping()
            self._lease.release()
        except Exception as failure:
            self.tell(
                f"{cannot_be_used(self.store, failure)}. Results lie in {self._copies.here}; the "
                "same command pushes them"
            )
        else:
            self.complete = True
            if self._lost:
                self.tell(f"{self.store} answers again: all results are there")
        finally:
            self._stop_keeping()

    def _keep_lease(self) -> None:
        """Renews the lease until the end, also while much is being copied."""
        while not self._ending.wait(RENEWAL_SECONDS):
            try:
                if not self._is_taken():
                    self._lease.renew()
            except Exception as error:
                self._tell_lost(error)

    def _is_taken(self) -> bool:
        """Whether another machine holds the lease, as it may if this one could not renew it; people
        are told once.
        """
        if not self._taken and (holder := self._lease.held_elsewhere()):
            with self._telling:
                told, self._taken = self._taken, True
            if not told:
                self.tell(
                    f"another sweep, that of {holder}, has gone on in {self.store} while this one "
                    f"could not be seen: nothing more is pushed; results lie in {self._copies.here}"
                )
        return self._taken

    def _stop_keeping(self) -> None:
        self._ending.set()
        self._keeper.join()

    def _push_until_the_end(self) -> None:
        """Pushes the trials in the queue, until the queue holds None."""
        unpushed: set[str] = set()
        while (changed := self._changed_trials()) is not None:
            unpushed |= changed
            try:
                if not self._is_taken():
                    self._copies.push(unpushed)
            except Exception as error:  # whatever happens here, the sweep goes on
                self._tell_lost(error)
            else:
                unpushed.clear()

    def _tell_lost(self, error: Exception) -> None:
        with self._telling:
            if self._lost:
                return
            self._lost = True
        self.tell(
            f"{cannot_be_used(self.store, error)}. Results are kept in {self._copies.here} and "
            "pushed later"
        )

    def _changed_trials(self) -> set[str] | None:
        """The ids of all trials in the queue, for the first of which it waits RENEWAL_SECONDS at
        most; None at the end.
        """
        changed: set[str] = set()
        try:
            identity = self._queue.get(timeout=RENEWAL_SECONDS)
            while identity is not None:
                changed.add(identity)
                identity = self._queue.get_nowait()
        except Empty:
            return changed - {""}
        return None
