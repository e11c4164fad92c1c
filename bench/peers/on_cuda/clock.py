"""Times of runs on the card, and the remaining budget."""

import contextlib
import signal
import time

import torch

LEAST_SECONDS = 3
FLUSH_FLOATS = 64 << 20
#: A card at rest lowers its clock after about a second, and takes up to a second of work to raise it again.
IDLE_SECONDS, WARM_UP_SECONDS = 0.3, 1.5


class OutOfTime(Exception):
    pass


class Budget:
    """Runs pieces within time limits. A failure becomes a row, and the next piece runs."""

    def __init__(self, seconds, rows):
        self.end = time.time() + seconds
        self.rows = rows
        self._ends = []

    @contextlib.contextmanager
    def piece(self, name, batch=None, seconds=30):
        """`with budget.piece(…) as goes: if goes: …`; limits nest. A call that hangs in C ends with this process."""
        if self.end - time.time() < LEAST_SECONDS:
            self.rows.skip(name, "no time left", batch)
            yield False
            return
        try:
            with self._limit(min(seconds, self.end - time.time())):
                yield True
        except OutOfTime as error:
            self.rows.skip(name, error, batch)
        except Exception as error:  # out of memory, a function that this version lacks, a compiler's trouble
            self.rows.skip(name, f"{type(error).__name__}: {error}", batch)
        finally:
            if torch.cuda.is_available():
                with contextlib.suppress(Exception):
                    torch.cuda.synchronize()
                    torch.cuda.empty_cache()

    @contextlib.contextmanager
    def _limit(self, seconds):
        def stop(*_):
            raise OutOfTime(f"cut after {seconds:.0f} s")

        self._ends.append(time.time() + seconds)
        previous = signal.signal(signal.SIGALRM, stop)
        self._arm()
        try:
            yield
        finally:
            self._ends.pop()
            signal.signal(signal.SIGALRM, previous)
            self._arm()

    def _arm(self):
        left = max(0.05, self._ends[-1] - time.time()) if self._ends else 0
        signal.setitimer(signal.ITIMER_REAL, left)


class Clock:
    def __init__(self, device):
        self.on_gpu = device == "cuda"
        self._flushed = None
        self._busy_until = float("-inf")

    def time(self, run, seconds=0.4, most=200, cold=True):
        """Milliseconds of `run()`: {ms, best_ms, cold_ms, runs}."""
        run()
        if not self.on_gpu:
            return {"ms": 1e3 * self._by_host(run), "runs": 1}
        self.wake(lambda: self._by_host(run))
        once = self._by_host(run)
        runs = int(max(5, min(most, seconds / max(once, 1e-5))))
        events = [torch.cuda.Event(enable_timing=True) for _ in range(runs + 1)]
        events[0].record()
        for event in events[1:]:
            run()
            event.record()
        torch.cuda.synchronize()
        times = sorted(a.elapsed_time(b) for a, b in zip(events, events[1:]))
        result = {"ms": times[runs // 2], "best_ms": times[0], "runs": runs}
        if cold:
            result["cold_ms"] = self._cold(run, min(15, runs))
        self._busy_until = time.perf_counter()
        return result

    def wake(self, run):
        """Keeps a rested card at work until its clock is up. `run` waits for the card."""
        begin = time.perf_counter()
        if not self.on_gpu or begin - self._busy_until < IDLE_SECONDS:
            return
        while time.perf_counter() - begin < WARM_UP_SECONDS:
            run()

    def _by_host(self, run):
        self.synchronize()
        begin = time.perf_counter()
        run()
        self.synchronize()
        return time.perf_counter() - begin

    def _cold(self, run, runs):
        pairs = []
        for _ in range(runs):
            self._flush()
            pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            pair[0].record()
            run()
            pair[1].record()
            pairs.append(pair)
        torch.cuda.synchronize()
        return sorted(a.elapsed_time(b) for a, b in pairs)[runs // 2]

    def _flush(self):
        """Overwrites more than the L2."""
        if self._flushed is None:
            self._flushed = torch.empty(FLUSH_FLOATS, dtype=torch.float32, device="cuda")
        self._flushed.zero_()

    def synchronize(self):
        if self.on_gpu:
            torch.cuda.synchronize()
