"""A run or a saved classifier as one file that runs without featx: from an image to probabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
