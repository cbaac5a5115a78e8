"""Tensors as the command line reads and writes them: one JSON object a line."""

import json
import math

import numpy as np

SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def element(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return SPECIAL[str(value)]
    return value


def tensor(name, array):
    data = [element(x) for x in array.reshape(-1).tolist()]
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def line(side, arrays):
    """`side` is `inputs` or `outputs`."""
    return json.dumps({side: [tensor(name, array) for name, array in arrays.items()]})


def lines(side, many):
    return "".join(line(side, arrays) + "\n" for arrays in many)


def read(tensors):
    """Arrays by name. Integers stay exact, whatever their size."""

    def array(tensor):
        kind = np.dtype(tensor["dtype"]).kind
        data = [float(x) if isinstance(x, str) else x for x in tensor["data"]]
        whole = kind in "iub" and all(isinstance(x, int) for x in data)
        return np.array(data, dtype=object if whole else np.float64).reshape(tensor["shape"])

    return {tensor["name"]: array(tensor) for tensor in tensors}
