"""Audits: leaks, shortcuts, labels in doubt, strange images, calibration and more, from cached features."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
