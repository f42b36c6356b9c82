"""The results of the search for shortcuts: how well each probe tells the classes of each pair."""

from __future__ import annotations

from dataclasses import dataclass

from featx.audits.probes.probing import Area, Contrast
from featx.stats import SIGNIFICANT

FEATURES = "features"

# What each probe looks at, and the lower end of the interval above which it is an alarm. benchmarks/shortcuts.py has
# what they find and what they do not. A file's facts and the border have nothing to say about most subjects. The
# brightness comes from the subject too, so only what is nearly perfect is strange; the thumbnail shows the subject,
# if coarsely, so it is given beside the others and raises no alarm.
PROBES = {
    "file_facts": ("facts of the file", 0.6),
    "border": ("the border alone", 0.75),
    "corners": ("the corners alone", 0.75),
    "brightness": ("brightness and contrast alone", 0.9),
    "thumbnail": ("a 16 × 16 thumbnail", 1.0),
}


@dataclass(frozen=True)
class ProbeResult:
    """How well two classes are told apart by one probe.

    Attributes:
        probe: A key of `PROBES`.
        area: The area under the ROC curve, with its interval.
        corrected_p: The p-value, corrected for the number of probes and of pairs of classes.
        constant: Whether the probe sees the same in all images.
        most: The kind of facts that tells most by itself, and its area; None for other probes.
    """

    probe: str
    area: Area
    corrected_p: float
    constant: bool = False
    most: tuple[str, float] | None = None

    @property
    def clear(self) -> bool:
        """Whether the classes are told apart better than by chance, with all probes taken into account."""
        return self.corrected_p < SIGNIFICANT and self.area.auc > 0.5

    @property
    def alarm(self) -> bool:
        """Whether a network may have learnt this instead of the subject."""
        return self.clear and self.area.interval[0] > PROBES[self.probe][1]


@dataclass(frozen=True)
class PairResult:
    """What tells two classes apart.

    Attributes:
        contrast: The classes and their images.
        features: The area that the network's features reach, with the same classifier on the same folds.
        probes: The results of the probes, in the order of `PROBES`.
    """

    contrast: Contrast
    features: Area
    probes: tuple[ProbeResult, ...]

    @property
    def name(self) -> str:
        """`covid against normal`."""
        return " against ".join(self.contrast.names)


@dataclass(frozen=True)
class ShortcutResults:
    """Which classes can be told apart without the subject.

    Attributes:
        pairs: The pairs of classes that were examined.
        n: Number of images with a label and a preview.
        without: Number of images with a label whose file is gone or has changed.
        skipped: Classes with too few groups.
        paired: Whether each pair of classes was examined; else each against the rest.
        classes: Number of classes, or of labels.
    """

    pairs: tuple[PairResult, ...]
    n: int
    without: int
    skipped: tuple[str, ...]
    paired: bool
    classes: int
