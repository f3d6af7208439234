"""SIGINT ends the cell that runs, and nothing else: not the loop between cells, and not the middle of a message."""

import signal
from contextlib import contextmanager


class Interrupts:
    def __init__(self):
        self._running = False
        self._held = 0
        self._waiting = False

    def install(self):
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number, _frame):
        __tracebackhide__ = True
        if not self._running:
            return
        if self._held:
            self._waiting = True
            return
        raise KeyboardInterrupt

    @contextmanager
    def during_cell(self):
        """What comes within raises KeyboardInterrupt."""
        self._waiting = False
        self._running = True
        try:
            yield
        finally:
            self._running = False

    @contextmanager
    def held(self):
        """What comes within raises KeyboardInterrupt at its end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._waiting and not self._held and self._running:
            self._waiting = False
            raise KeyboardInterrupt
