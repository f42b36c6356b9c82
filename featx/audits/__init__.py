"""Audits: leaks, shortcuts, labels in doubt, strange images, calibration and more, from cached features.

`auditing` goes these steps:

1. `opened`: the rows of a run or of data, opened once, and what several examinations share; `judged`: which of them
   judge the model;
2. examinations, each of which returns a part (`parts`): `duplicates`, `atypical` (strange images), and in packages of
   their own `probes/` (shortcuts), `columns/` (further columns of the manifest, accuracy by subgroup),
   `probabilities/` (calibration, operating points, abstention) and `logistic/` (labels in doubt, learning curve);
3. `result`: all parts and their alarms;
4. `writing`: the page, the JSON and the tables, and `forms/`: checklists of journals.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
