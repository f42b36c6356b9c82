"""Datasets: which images there are, with their labels, splits and groups. No image is opened here.

`reading` goes these steps, each in modules of its own:

1. list in a `listing`, as `places` says for each kind of data: `folders/`, `tables/` (manifests and data frames),
   `archived/` (ZIP files, shards, tables with the bytes of images), `given` and `in_memory` (what Python passes);
2. several labels: `tables/multilabel`;
3. DICOM: `dicom` reads headers for groups and columns, `hidden_names` replaces what names a patient;
4. groups from names: `grouping`;
5. the result: `dataset`, of which `survey` says what it holds and what looks odd.

`choice` has the options of all. Verbs ask `checks` whether the labels are enough, and `holdout` which images to hold
out.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
