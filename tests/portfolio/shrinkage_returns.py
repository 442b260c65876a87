"""Forty days of six symbols by a formula, on which other libraries were run."""

import numpy as np

_waves = np.sin(np.outer(np.arange(1, 41), [1.0, 1.7, 2.3, 0.6, 3.1, 0.9])) * 0.01
_common = np.outer(np.cos(np.arange(40) * 0.37), [1, 2, 1, 0, -1, 1]) * 0.004
RETURNS = _waves + _common + np.array([0.002, 0.001, 0.0, -0.001, 0.003, 0.0005])
UNEVEN = RETURNS * np.array([1, 2, 4, 1, 0.5, 1])
