"""The verb `audit`: would the results hold elsewhere? Every examination of a run's images, or of data."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from featx.audits.atypical import examine_atypical
from featx.audits.columns.columns import examine_columns
from featx.audits.columns.subgroups import examine_subgroups
from featx.audits.duplicates import examine_duplicates
from featx.audits.forms.documents import check_forms
from featx.audits.logistic.label_doubts import examine_label_doubts
from featx.audits.logistic.learning_curve import examine_learning_curve
from featx.audits.opened import AuditData, AuditOptions
from featx.audits.parts import Part
from featx.audits.probabilities.calibration import examine_calibration
from featx.audits.probes.shortcuts import examine_shortcuts
from featx.audits.result import Audit
from featx.audits.writing import FORMER, write_audit
from featx.data import first_few, refuse_folder_of_images
from featx.errors import DataError, FeatxError, StoreError, UntrustedError, UnwrittenError, UsageError
from featx.features import Choice, OnError
from featx.files import check_folder, several
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Source, is_run_path, read_source
from featx.stats import positive_of
from featx.store import Store

Examination = Callable[[AuditData], Part]

EXAMINATIONS: dict[str, Examination] = {
    "duplicates": examine_duplicates,
    "label_doubts": examine_label_doubts,
    "atypical": examine_atypical,
    "shortcuts": examine_shortcuts,
    "columns": examine_columns,
    "subgroups": examine_subgroups,
    "calibration": examine_calibration,
    "learning_curve": examine_learning_curve,
}


@reports_progress
def audit(
    place: Any,
    *,
    out: str | Path | None = None,
    form: Collection[str] = (),
    without: Collection[str] = (),
    strict: bool = False,
    specificity: float = 0.9,
    sensitivity: float = 0.9,
    prevalence: float | None = None,
    coverage: float = 0.9,
    positive: str | None = None,
    seed: int = 0,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Audit:
    """Examine a run or data for what makes an honest number mislead.

    Near-duplicates within and across splits, labels in doubt, strange images, classes that can be told without the
    subject, columns that decide the label, accuracy by subgroup, calibration, and what more images would give. No
    image is changed and no label either. Features that the cache lacks are computed first.

    Args:
        place: A folder that `fit_head` wrote, or data, see `read_data`.
        out: Folder of the page `audit.html`, of `audit.json` and of tables; nothing is written if not given.
        form: Checklists of journals that are written into `out`, filled from a run and its audit as far as it knows
            the answers: `claim`, `tripod-ai`, `model-card`; one, or several.
        without: Keys of examinations to leave out, such as `learning_curve`.
        strict: Refuse with an error, after everything is written, if there is an alarm.
        specificity: The specificity, 0 to 1, at which the sensitivity is given.
        sensitivity: The sensitivity, 0 to 1, at which the specificity is given.
        prevalence: The prevalence of the positive class, above 0 and below 1, at which predictive values are given;
            that of the images if not given.
        coverage: The share of images, above 0 and below 1, whose prediction sets shall contain the true class.
        positive: The class of two that is looked for; chosen and named if not given.
        seed: The same seed gives the same numbers, whatever the order of files.
        recipe: The features of data, see `extract`. A run has its own.
        cache: Folder of the store.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`.

    Returns:
        The parts, the alarms, and what could not be examined with the reason.

    Raises:
        UsageError: An argument is not valid.
        UntrustedError: There is an alarm, with `strict`.
        UnwrittenError: A file cannot be written; the error has the result.
        FeatxError: What `read_source` raises.
    """
    start = time.perf_counter()
    without, forms = _keys(without), several(form, "names of forms")
    shares = {"specificity": specificity, "sensitivity": sensitivity, "prevalence": prevalence, "coverage": coverage}
    for name, share in shares.items():
        if share is not None and not 0 < share < 1:
            raise UsageError(f"Expected --{name} above 0 and below 1, received {share:g}; pass a share such as 0.9.")
    check_forms(None if out is None else Path(out), forms, is_run_path(place))
    if out is not None:
        check_folder(Path(out), "audit", FORMER)
        if not is_run_path(place):
            refuse_folder_of_images(out, place)
    source = read_source(place, layer="backbone", recipe=recipe, cache=cache, on_error=on_error, **choice)
    options = AuditOptions(
        specificity=specificity, sensitivity=sensitivity, prevalence=prevalence, coverage=coverage, positive=positive
    )
    data = audit_data(source, Store(Path(cache)), seed, options)
    _check_positive(data)
    result = audit_source(data, without=without)
    result = replace(result, seconds=time.perf_counter() - start)
    if out is not None:
        try:
            result = replace(result, files=write_audit(Path(out), result, forms, EXAMINATIONS))
        except StoreError as error:
            raise UnwrittenError(error, result) from error
    if strict:
        refuse_alarms(result)
    return result


def audit_data(source: Source, store: Store, seed: int = 0, options: AuditOptions | None = None) -> AuditData:
    """Return what is examined: backbone rows of a run or of data, and how their features are made.

    Raises:
        DataError: It is not known how the features were made.
    """
    spec = source.run.recipe if source.run is not None else None if source.space is None else source.space.spec
    if spec is None:
        raise DataError(f"It is not known how the features of {source.name} were computed; pass the data instead.")
    options = options or AuditOptions()
    if options.positive is None and source.run is not None and not source.run.multilabel:
        # The class that the run's own scores are about, also where another is rarer among the images that judge it.
        labels = [image.label for image in source.run.images]
        options = replace(options, positive=positive_of(source.run.classes, labels))
    return AuditData(source, spec, store, seed, options)


def audit_source(data: AuditData, *, without: Collection[str] = ()) -> Audit:
    """Make every examination; one that is not possible is listed in `left_out` with the reason.

    Args:
        data: What is examined.
        without: Keys of examinations to leave out.
    """
    start = time.perf_counter()
    parts: list[Part] = []
    left_out: dict[str, str] = {}
    chosen = {key: examine for key, examine in EXAMINATIONS.items() if key not in without}
    for number, (key, examine) in enumerate(chosen.items()):
        report_progress("examining", number, len(chosen))
        try:
            parts.append(examine(data))
        except FeatxError as error:
            left_out[key] = str(error)
    report_progress("examining", len(chosen), len(chosen))
    seconds = time.perf_counter() - start
    return Audit(data.source.name, data, tuple(parts), left_out, data.source.failed, seconds=seconds)


def refuse_alarms(result: Audit) -> None:
    """Refuse a result with alarms.

    Raises:
        UntrustedError: There is at least one; the message has the first.
    """
    alarms = result.alarms
    if alarms:
        more = "" if len(alarms) == 1 else f", and {len(alarms) - 1} more"
        raise UntrustedError(
            f"Expected no alarm in the audit of {result.name}, found {len(alarms)}: {alarms[0].rstrip('.')}{more}; "
            "read the audit, mend the data, or leave out --strict."
        )


def _keys(without: Collection[str]) -> tuple[str, ...]:
    names = tuple(several(without, "names of examinations"))
    unknown = sorted(set(names) - set(EXAMINATIONS))
    if unknown:
        raise UsageError(
            f"Expected examinations among {', '.join(EXAMINATIONS)} to leave out, received {', '.join(unknown)}."
        )
    if len(set(names)) == len(EXAMINATIONS):
        raise UsageError("Expected at least one examination to make, received all of them to leave out; name fewer.")
    return names


def _check_positive(data: AuditData) -> None:
    positive = data.options.positive
    if positive is not None and positive not in data.classes:
        raise UsageError(f"Expected --positive to be one of {first_few(data.classes)}, received {positive!r}.")
