"""What one axis means: its kind of scale, its values as JSON, its ticks, its label and unit."""

import datetime
import re

from matplotlib import category, dates
from matplotlib.ticker import FixedFormatter, FuncFormatter
from matplotlib.units import ConversionInterface

from .numbers import rounded

_UNIT = re.compile(r"[(\[]([^()\[\]]+)[)\]]")
_DATE_FORMATTERS = (dates.DateFormatter, dates.AutoDateFormatter, dates.ConciseDateFormatter)


def labels_of(axes):
    """Labels of both axes, and the units in them: what stands in brackets."""
    x_label, y_label = axes.get_xlabel() or None, axes.get_ylabel() or None
    return {"x_label": x_label, "y_label": y_label, "x_unit": _unit(x_label), "y_unit": _unit(y_label)}


def _unit(label):
    found = _UNIT.search(label or "")
    return found.group(1).strip() if found else None


class AxisScale:
    """The scale of an axis, by which its values are read."""

    def __init__(self, axis):
        self._axis = axis
        self.name = self._name()

    def _name(self):
        scale = self._axis.get_scale()
        if scale != "linear":
            return scale
        converter = self._converter()
        if isinstance(converter, category.StrCategoryConverter):
            return "categorical"
        if self._period_frequency() is not None or _converts_dates(converter):
            return "datetime"
        if isinstance(self._axis.get_major_formatter(), _DATE_FORMATTERS):
            return "datetime"
        return "linear"

    def values(self, numbers, originals=()):
        """Values as JSON: ISO dates, names of categories, or rounded numbers.

        `originals` are what the code gave: its dates may have time zones.
        """
        if self.name == "datetime":
            if len(originals) == len(numbers):
                return [self._date(number, original) for number, original in zip(numbers, originals)]
            return [self._date(number, None) for number in numbers]
        if self.name == "categorical":
            names = self._categories()
            return [names.get(round(float(number)), str(number)) for number in numbers]
        return [rounded(number) for number in numbers]

    def ticks(self):
        """Values and texts of the ticks."""
        texts = [label.get_text() for label in self._axis.get_majorticklabels()]
        locations = self._axis.get_majorticklocs()
        if self.name == "categorical":
            return texts, texts
        return self.values(locations), texts

    def name_at(self, position):
        """What is written at a position: a category, a date, a text that was set there; or the number."""
        if self.name in ("categorical", "datetime"):
            return str(self.values([position])[0])
        if isinstance(self._axis.get_major_formatter(), (FixedFormatter, FuncFormatter)):
            texts = [label.get_text() for label in self._axis.get_majorticklabels()]
            near = sorted(zip(map(lambda tick: abs(tick - position), self._axis.get_majorticklocs()), texts))
            if near and near[0][0] < 0.5 and near[0][1]:
                return near[0][1]
        number = rounded(position)
        return str(int(number)) if number is not None and number == int(number) else str(number)

    def _converter(self):
        get = getattr(self._axis, "get_converter", None)
        return get() if get else self._axis.converter

    def _categories(self):
        return {number: name for name, number in self._axis.units._mapping.items()}

    def _period_frequency(self):
        """Of pandas, which counts periods along the axis of a series with a regular index."""
        return getattr(self._axis.axes, "freq", None) if self._axis.axis_name == "x" else None

    def _date(self, number, original):
        if isinstance(original, datetime.date):
            return original.isoformat()
        if hasattr(original, "to_timestamp"):
            return original.to_timestamp().isoformat()
        try:
            frequency = self._period_frequency()
            if frequency is not None:
                import pandas

                return pandas.Period(ordinal=int(number), freq=frequency).to_timestamp().isoformat()
            return dates.num2date(number).replace(tzinfo=None).isoformat()
        except (ValueError, OverflowError):
            return None


def _converts_dates(converter):
    if isinstance(converter, (dates.DateConverter, dates.ConciseDateConverter, dates._SwitchableDateConverter)):
        return True
    # Pandas puts its own in their place.
    name = type(converter).__name__
    return isinstance(converter, ConversionInterface) and ("Date" in name or "Period" in name)
