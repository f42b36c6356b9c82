from __future__ import annotations

from featx.formats import by_kind, kind_of_name


def test_endings_tell_kinds_in_any_case() -> None:
    kinds = {name: kind.name for name in ("a.CR2", "b.Mov", "scan.NII.gz", "x.svg") if (kind := kind_of_name(name))}
    assert kinds == {
        "a.CR2": "a camera raw file",
        "b.Mov": "video",
        "scan.NII.gz": "NIfTI, a volume",
        "x.svg": "an SVG drawing",
    }
    assert kind_of_name("a.jpg") is kind_of_name("notes.txt") is kind_of_name("gz") is None


def test_names_are_sorted_into_kinds_with_the_most_frequent_first() -> None:
    kinds = by_kind(["a.mov", "notes.txt", "b.dng", "c.NEF", "d.arw"])
    assert [(kind.name, names) for kind, names in kinds] == [
        ("a camera raw file", ["b.dng", "c.NEF", "d.arw"]),
        ("video", ["a.mov"]),
    ]
