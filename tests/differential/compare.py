"""How far outputs may be from the oracle's.

Integers and booleans are equal. Floats are within `TOLERANCE` of the output's reach; or within three times the error that `zkiln check` states
for the samples, but never more than `MOST`. The reach is the spread of the elements, or a fifth of the greatest of them; that of this input's
output or of a typical sample's, whichever is greater: values are fixed point, and their step is stated. What is right by that and not by the
reach of the input's own output is counted as *coarse*."""

from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.01
MOST = 0.05
# Values this large, and so many times beyond whatever is smaller, are fillings, as of a mask: they say nothing of the others' spread.
LEAST_FILLING = 9_999
GAP = 100


@dataclass
class Difference:
    """The element of an output that is furthest from what is right, relative to the spread."""

    output: str
    index: tuple
    got: object
    right: object
    relative: float

    def __str__(self):
        return f"{self.output}{list(self.index)} is {self.got}, right {self.right} ({100 * self.relative:.2f} % of the spread)"


def fillings(array):
    """Which elements are fillings."""
    magnitudes = abs(array.astype(float))
    ordered = np.unique(magnitudes[np.isfinite(magnitudes)])
    jumps = (ordered[1:] >= LEAST_FILLING) & (ordered[1:] >= GAP * np.maximum(ordered[:-1], 1))
    return magnitudes >= ordered[1:][jumps].min() if jumps.any() else np.zeros(array.shape, dtype=bool)


def body(array):
    """The finite elements that are not fillings."""
    return array[np.isfinite(array) & ~fillings(array)].astype(float)


def spread(array):
    """Greatest less least element."""
    elements = body(array)
    return float(elements.max() - elements.min()) if elements.size else 0.0


def reach(array):
    """What errors are relative to."""
    elements = body(array)
    return max(spread(array), 0.2 * float(abs(elements).max())) if elements.size else 0.0


def typical_reach(arrays):
    """Of one output in all samples. An output of a few elements has its spread from sample to sample."""
    if arrays[0].size < 4:
        return reach(np.concatenate([array.reshape(-1) for array in arrays]))
    return float(np.median([reach(array) for array in arrays]))


def differences(expected, got, scale, skip):
    """The worst difference of each output. `scale` has the reach of each; elements of `skip` are not compared."""
    found = []
    for name, right in expected.items():
        if name not in got or got[name].shape != right.shape:
            found.append(Difference(name, (), "missing or of another shape", right.shape, np.inf))
            continue
        relative = np.where(skip[name], 0.0, errors(right, got[name], scale[name]))
        if relative.size:
            index = np.unravel_index(int(relative.argmax()), relative.shape)
            found.append(Difference(name, tuple(map(int, index)), got[name][index], right[index], float(relative[index])))
    return found


def errors(right, got, scale):
    """Of each element, relative to the scale; infinite where integers differ, or what is not finite."""
    if right.dtype.kind in "iub":
        return np.where(got == right.astype(object), 0.0, np.inf)
    right, got = right.astype(float), got.astype(float)
    same = (right == got) | (np.isnan(right) & np.isnan(got))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = abs(got - right) / reaches(right, scale)
    relative = np.where(np.isfinite(relative), relative, np.inf)
    return np.where(same, 0.0, relative)


def reaches(right, scale):
    """Of each element: fillings are held to their own magnitude, and nothing to more than float32's precision."""
    magnitudes = abs(right.astype(float))
    return np.where(fillings(right), magnitudes, np.maximum(scale, 1e-4 * magnitudes))
