"""Numbers of charts."""

import math

DIGITS = 8


def rounded(number):
    """A number as JSON has it, with eight digits behind the point; None if it is none."""
    number = number.item() if hasattr(number, "item") else number
    if number is None or isinstance(number, str) or not math.isfinite(number):
        return None
    return number if isinstance(number, int) else round(float(number), DIGITS)
