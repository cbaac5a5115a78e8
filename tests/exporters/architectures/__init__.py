"""The architectures, a module a family."""

import importlib

# In the order of the table. A family's libraries are imported with its module.
FAMILIES = ["scikit", "boosting", "convolutions", "detection", "recurrent", "language", "vision", "audio", "generative", "structured"]


def load():
    for name in FAMILIES:
        importlib.import_module(f"architectures.{name}")
