"""How values become what a client can show, by MIME type."""

import base64
import sys

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

from .json_values import NotJsonError, to_json

# What is left of a text that is too long for a message.
_KEPT_CHARACTERS = 1024 * 1024


class DataFormatter(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, list)


class ChartFormatter(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = dict

    def __call__(self, obj):
        # Not registered as other types are: whoever chooses formats of figures takes them out of every formatter.
        matplotlib_figure = sys.modules.get("matplotlib.figure")
        if matplotlib_figure is not None and isinstance(obj, matplotlib_figure.Figure):
            return _chart_of(obj)
        return super().__call__(obj)


def install(display_formatter):
    """Adds tables, charts, and JSON of dicts and lists to what IPython formats itself."""
    data = DataFormatter(parent=display_formatter)
    chart = ChartFormatter(parent=display_formatter)
    display_formatter.formatters[data.format_type] = data
    display_formatter.formatters[chart.format_type] = chart
    display_formatter.active_types = list(display_formatter.formatters)
    data.for_type_by_name("pandas.core.frame", "DataFrame", _frame)
    for kind in (dict, list):
        display_formatter.formatters["application/json"].for_type(kind, _json)


def _frame(frame):
    from .data import of_frame

    return of_frame(frame)


def _chart_of(figure):
    from .charts.figure import chart_of

    try:
        return chart_of(figure)
    except Exception:
        # It reads what matplotlib keeps for itself. The picture must be shown all the same.
        return {"type": "unknown", "title": None, "elements": []}


def _json(value):
    try:
        return to_json(value)
    except NotJsonError:
        return None


def bundle(data):
    """Checks what formatters gave, which may be of the code's own making: text, base64 or JSON for each MIME type."""
    return {str(mime): _transportable(value) for mime, value in data.items() if value is not None}


def _transportable(value):
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    try:
        return to_json(value)
    except NotJsonError:
        return str(value)


# What repeats in another form what a client can see of a result.
_REPEATED = ("e2b/chart", "e2b/data", "application/json")


def shortened(data):
    """What to send of a bundle that is too long for a message, the better one first."""
    yield {mime: value for mime, value in data.items() if mime not in _REPEATED}
    note = "[The result is too large to be sent: more than 32 MiB. Save it to a file instead.]"
    text = data.get("text/plain", "")
    yield {"text/plain": f"{cut(text)}\n{note}" if isinstance(text, str) else note}


def cut(text):
    if len(text) <= _KEPT_CHARACTERS:
        return text
    return f"{text[:_KEPT_CHARACTERS]}\n[{len(text) - _KEPT_CHARACTERS} more characters]"
