"""What a context does at its first cell is done before somebody waits for it, and leaves no trace."""

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


def touch(shell):
    """In a copy, between cells: what is in memory has to be brought before it can be used."""
    shell.run_cell("1 + 1", store_history=False, silent=True)
    shell.display_formatter.format(2)
