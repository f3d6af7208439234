"""IPython's InteractiveShell, with its outputs sent to the server."""

import builtins
import getpass
import itertools
import os
import subprocess
import traceback
import warnings

from IPython.core import page
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any, Type
from traitlets.config import Config

from . import formats, streams

# Names a display that was given an id, so that a client can put the next one in its place.
DISPLAY_ID_MIME = "application/vnd.islet.display+json"


class Publisher(DisplayPublisher):
    """What `display()` shows."""

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
        display_id = (transient or {}).get("display_id")
        if display_id is not None:
            data = {**data, DISPLAY_ID_MIME: {"id": str(display_id), "update": bool(update)}}
        self.shell.send_result(data, main=False)

    def clear_output(self, wait=False):
        """Does nothing: what was sent is with the client already."""


class ResultHook(DisplayHook):
    """The value of a cell."""

    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        self.shell.send_result(format_dict, main=True)


class Shell(InteractiveShell):
    display_pub_class = Type(Publisher)
    displayhook_class = Type(ResultHook)
    channel = Any()

    def send_result(self, data, main):
        streams.flush()
        bundle = formats.bundle(data)
        for data in itertools.chain([bundle], formats.shortened(bundle)):
            if self.channel.send({"type": "result", "main": main, "data": data}):
                return

    def _showtraceback(self, etype, evalue, stb):
        lines = [stb] if isinstance(stb, str) else stb
        self.send_error(etype.__name__, _text_of(evalue), "\n".join(lines))

    def showtraceback(self, exc_tuple=None, *args, **kwargs):
        """IPython prints groups of exceptions, and says of `SystemExit` no more than a hint."""
        try:
            etype, value, tb = self._get_exc_info(exc_tuple)
        except ValueError:
            return super().showtraceback(exc_tuple, *args, **kwargs)
        if isinstance(value, SystemExit):
            return self.send_error(etype.__name__, _text_of(value), "".join(traceback.format_exception_only(value)))
        if isinstance(value, BaseExceptionGroup):
            # Without IPython's own frame, which is the first.
            lines = traceback.format_exception(etype, value, tb and tb.tb_next)
            return self.send_error(etype.__name__, _text_of(value), "".join(lines))
        return super().showtraceback(exc_tuple, *args, **kwargs)

    def send_error(self, name, value, trace):
        streams.flush()
        error = {"type": "error", "name": name, "value": value, "traceback": trace}
        if not self.channel.send(error):
            self.channel.send({**error, "value": formats.cut(value), "traceback": formats.cut(trace)})

    def system(self, command):
        """`!command`: its output goes where this process' own goes, as it comes."""
        command = self.var_expand(command, depth=1)
        code = subprocess.call(command, shell=True, executable=os.environ.get("SHELL"))
        # Negative for a signal, also if a shell says so.
        self.user_ns["_exit_code"] = -(code - 128) if code > 128 else code

    def enable_gui(self, gui=None):
        if gui not in (None, "inline"):
            raise UsageError(f"there is no screen for the {gui} event loop here; figures are shown inline")

    def ask_exit(self):
        raise SystemExit("exit() ends the cell, not the context; restart the context to clear its state")


def _text_of(value):
    try:
        return str(value)
    except Exception:
        return "<the exception cannot be shown as text>"


def refuse_input(*_args, **_kwargs):
    __tracebackhide__ = True
    raise StdinNotImplementedError(
        "input() was called, but code in a sandbox cannot ask anybody. Pass the value in the code or as a variable."
    )


def make_shell(channel):
    config = Config()
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.autoindent = False
    # Its database is one more thread, and nobody reads it.
    config.HistoryManager.enabled = False
    config.PlainTextFormatter.max_seq_length = 0
    shell = Shell.instance(config=config, channel=channel)
    shell.set_hook("show_in_pager", page.as_hook(page.display_page), 90)
    formats.install(shell.display_formatter)
    # Hints for somebody at a terminal, and for what Debian does not have.
    warnings.filterwarnings("ignore", message="To exit: use")
    warnings.filterwarnings("ignore", message="This is now an optional IPython functionality")
    builtins.input = refuse_input
    getpass.getpass = refuse_input
    return shell
