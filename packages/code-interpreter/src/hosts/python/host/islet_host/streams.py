"""sys.stdout and sys.stderr. They write to descriptors 1 and 2, where what subprocesses and C code write goes as well, so
that all of it comes in order."""

import _thread
import ctypes
import io
import os
import sys
import time
import warnings

# How long what is not written at once may wait.
_PATIENCE_S = 0.05
# How long the thread that writes it looks for more before it ends.
_IDLE_ROUNDS = 20
# How many lines are written at once: so many in a row, and so many a second.
_MOST_CREDIT = 50
_LINES_PER_SECOND = 500
# What starts a process that writes to the same descriptors.
_STARTS = frozenset(["subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"])


class OutputStream(io.TextIOWrapper):
    """Writes lines at once, as long as they are few. Of a flood of them, and of a part of a line, the rest is written
    after a moment: a system call for each line would cost more than all else."""

    def __init__(self, descriptor, name):
        raw = io.FileIO(descriptor, "w", closefd=False)
        super().__init__(io.BufferedWriter(raw, 64 * 1024), "utf-8", "backslashreplace")
        raw.name = name
        self._credit = _MOST_CREDIT
        self._credit_at = time.monotonic()

    def write(self, text):
        written = super().write(text)
        if ("\n" in text or "\r" in text) and self._may_flush():
            self.flush()
        elif not _flusher.armed:
            _flusher.arm()
        return written

    def isatty(self):
        return False

    def _may_flush(self):
        now = time.monotonic()
        credit = min(_MOST_CREDIT, self._credit + (now - self._credit_at) * _LINES_PER_SECOND)
        self._credit_at = now
        self._credit = credit - 1 if credit >= 1 else credit
        return credit >= 1


class _Flusher:
    """A thread that lives while there is something to flush, and a second longer."""

    def __init__(self):
        self.armed = False
        self._alive = False
        self._state = _thread.allocate_lock()
        self._flushing = _thread.allocate_lock()
        # A child must not inherit a stream that the thread is writing to, and has no such thread.
        os.register_at_fork(
            before=self._flushing.acquire,
            after_in_parent=self._flushing.release,
            after_in_child=self._start_over,
        )

    def arm(self):
        with self._state:
            self.armed = True
            if self._alive:
                return
            try:
                _thread.start_new_thread(self._run, ())
                self._alive = True
            except RuntimeError:
                # No thread can be started. The end of the cell flushes.
                self.armed = False

    def _run(self):
        idle = 0
        while idle < _IDLE_ROUNDS:
            time.sleep(_PATIENCE_S)
            idle = 0 if self.armed else idle + 1
            if self.armed:
                self.armed = False
                with self._flushing:
                    _flush_python()
        with self._state:
            self._alive = False
        if self.armed:
            self.arm()

    def _start_over(self):
        self._flushing.release()
        self._state = _thread.allocate_lock()
        self.armed = self._alive = False


_flusher = _Flusher()
_c_library = ctypes.CDLL(None)
_c_stdout = ctypes.c_void_p.in_dll(_c_library, "stdout")


def install():
    sys.stdout = sys.__stdout__ = OutputStream(1, "<stdout>")
    sys.stderr = sys.__stderr__ = OutputStream(2, "<stderr>")
    sys.addaudithook(_before_start)
    # Our thread is not what a fork has to fear.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)


def flush():
    """Also what C code has printed, which its library keeps back for a pipe."""
    _c_library.fflush(_c_stdout)
    _flush_python()


def _before_start(event, _args):
    if event in _STARTS:
        _flush_python()


def _flush_python():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # The code has put something else there, or closed it.
            pass
