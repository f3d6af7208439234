"""What of Python's values is JSON: numbers of numpy are, dates become ISO strings, and what JSON has no number for is null."""

import datetime
import json
import math
import sys

MAX_DEPTH = 100


class NotJsonError(TypeError):
    pass


def to_json(value):
    """The value as JSON's types.

    Raises NotJsonError if it holds anything else.
    """
    return _convert(value, 0)


def _convert(value, depth):
    if depth > MAX_DEPTH:
        raise NotJsonError("too deep")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): _convert(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_convert(item, depth + 1) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        # Pandas' Timestamp is one; its NaT says so itself.
        return value.isoformat() if value == value else None
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.datetime64):
            return None if numpy.isnat(value) else str(value)
        if isinstance(value, (numpy.bool_, numpy.integer, numpy.floating)):
            return _convert(value.item(), depth)
        if isinstance(value, numpy.ndarray):
            return _convert(value.tolist(), depth)
    raise NotJsonError(f"{type(value).__name__} is not JSON")


def _key(key):
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)
    raise NotJsonError(f"a key of type {type(key).__name__} is not JSON")
