"""What the first Python context of a sandbox has in memory: its template's snapshot is taken behind it."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats
import seaborn  # noqa: F401
import sklearn.linear_model  # noqa: F401

# What is made at the first use of each: tables of fonts, of formats, of types.
frame = pd.DataFrame({"a": np.arange(3), "b": pd.date_range("2020", periods=3)})
frame._repr_html_()
frame.describe()
figure, axes = plt.subplots()
axes.plot(frame.a)
figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
plt.close(figure)
