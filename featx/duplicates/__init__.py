"""Near-duplicates: copies of one image that were encoded, resized, flipped, cropped or brightened anew."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
