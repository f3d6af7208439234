"""Environment variables around a cell."""

import os


def apply(changes):
    """Sets variables; None unsets one."""
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
