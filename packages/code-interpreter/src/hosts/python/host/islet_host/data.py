"""`e2b/data`: what a table holds, as a list of values for each column."""

import sys


def of_frame(frame):
    """The columns of a pandas DataFrame: dates as ISO strings, what JSON has no value for as strings."""
    return {str(name): [_value(item) for item in frame.iloc[:, at].tolist()] for at, name in enumerate(frame.columns)}


def _value(item):
    from .json_values import NotJsonError, to_json

    pandas = sys.modules["pandas"]
    if item is pandas.NaT or item is pandas.NA:
        return None
    try:
        return to_json(item)
    except NotJsonError:
        return str(item)
