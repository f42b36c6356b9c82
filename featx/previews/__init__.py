"""Previews: small copies of images and the facts of their files, kept in the cache by content."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
