"""The loop: one cell after the other."""

import faulthandler
import os
import runpy
import signal
import sys
import traceback
from contextlib import nullcontext

from . import environment, pictures, randomness, rehearsal, streams
from .channel import Channel
from .imports import ImportHook
from .interrupts import Interrupts


def serve(descriptor, warm=None):
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
    if warm is not None:
        _run_apart(warm)
        rehearsal.run(shell, channel, lambda code: _run(shell, interrupts, channel, _cell(code)))
        randomness.reseed()
    channel.send({"type": "ready"})
    while (cell := channel.receive()) is not None:
        with rehearsal.leaving_nothing(shell) if cell["isRehearsal"] else nullcontext():
            _run(shell, interrupts, channel, cell)
        if not channel.in_owner:
            # The code has forked, and this is the child that has come to the end of the cell.
            os._exit(0)


def _cell(code):
    return {"code": code, "env": {}, "envAfter": {}, "isRehearsal": False, "reseed": False}


def _run_apart(path):
    """Runs a file of which cells see nothing but the modules that it has imported. It may fail: they import then themselves."""
    try:
        runpy.run_path(path)
    except Exception:
        traceback.print_exc()


def _run(shell, interrupts, channel, cell):
    if cell["reseed"]:
        randomness.reseed()
    environment.apply(cell["env"])
    channel.send({"type": "count", "executionCount": shell.execution_count})
    try:
        with interrupts.during_cell():
            shell.run_cell(cell["code"], store_history=not cell["isRehearsal"])
            streams.flush()
    except KeyboardInterrupt:
        # It came between the code's end and here.
        shell.showtraceback(sys.exc_info())
    environment.apply(cell["envAfter"])
    streams.flush()
    if channel.in_owner:
        channel.send({"type": "done"})
