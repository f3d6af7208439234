"""The loop: one cell after the other."""

import faulthandler
import os
import signal
import sys

from . import environment, pictures, randomness, streams
from .channel import Channel
from .imports import ImportHook
from .interrupts import Interrupts


def serve(descriptor):
    """Runs what comes over the channel until it is closed."""
    interrupts = Interrupts()
    interrupts.install()
    channel = Channel(descriptor, interrupts)
    streams.install()
    faulthandler.enable(file=2)
    # As ipykernel does: figures are shown when their cell is over, and closed. Scripts that cells start inherit it.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    from .shell import make_shell

    shell = make_shell(channel)
    imports = ImportHook()
    imports.install()
    pictures.install(imports)
    randomness.install(imports)
    # Ignored by default: who has put another handler in its place is disturbed by nothing.
    signal.signal(signal.SIGURG, lambda _number, _frame: randomness.reseed())
    channel.send({"type": "ready"})
    while (cell := channel.receive()) is not None:
        _run(shell, interrupts, channel, cell)
        if not channel.in_owner:
            # The code has forked, and this is the child that has come to the end of the cell.
            os._exit(0)


def _run(shell, interrupts, channel, cell):
    if cell["reseed"]:
        randomness.reseed()
    environment.apply(cell["env"])
    channel.send({"type": "count", "executionCount": shell.execution_count})
    try:
        with interrupts.during_cell():
            shell.run_cell(cell["code"], store_history=True)
            streams.flush()
    except KeyboardInterrupt:
        # It came between the code's end and here.
        shell.showtraceback(sys.exc_info())
    environment.apply(cell["envAfter"])
    streams.flush()
    if channel.in_owner:
        channel.send({"type": "done"})
