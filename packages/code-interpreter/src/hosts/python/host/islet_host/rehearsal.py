"""What a context does at its first cell is done before somebody waits for it, and leaves no trace."""

from contextlib import contextmanager

# What of IPython and this program a first cell makes: its parser and compiler, outputs, formats, errors.
_CELLS = ["1 + 1", "[1.5, {'a': None}]", "import os\nlen(os.environ)", "1 / 0"]


def run(shell, channel, run_cell):
    """Before a snapshot is taken: runs cells of which nobody hears, and forgets them."""
    before = dict(shell.user_ns)
    channel.muted = True
    try:
        for code in _CELLS:
            run_cell(code)
    finally:
        shell.reset(new_session=True)
        # A reset takes more than it should, such as `__spec__`.
        for name, value in before.items():
            shell.user_ns.setdefault(name, value)
        channel.muted = False


@contextmanager
def leaving_nothing(shell):
    """In a copy that was made ahead: one cell more, of which the server alone hears. What IPython keeps of its value is taken back."""
    hook, names = shell.displayhook, shell.user_ns
    before, shown, last = dict(names), dict(names["_oh"]), (hook._, hook.__, hook.___)
    try:
        yield
    finally:
        for name in names.keys() - before.keys():
            del names[name]
        names.update(before)
        names["_oh"].clear()
        names["_oh"].update(shown)
        hook._, hook.__, hook.___ = last
