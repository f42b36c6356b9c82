from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stored_rows import fill, some_keys

from featx.runs.explain import ABSENT, explain
from featx.store import Store

DESCRIPTION: dict[str, Any] = {"backbone": {"name": "vgg16", "pooling": "none"}, "size": 224}
OTHER = DESCRIPTION | {"size": 96}


def test_explain_a_hit(tmp_path: Path) -> None:
    [key] = some_keys(1)
    space = fill(tmp_path, [key], description=DESCRIPTION)
    found = explain(Store(tmp_path), DESCRIPTION, *key)
    assert (found.hit, found.nearest, found.differences) == (True, space.id, [])
    assert found.sentences() == [f"View 0 of the image {key[0][:12]}… is stored: it is not computed again."]


def test_explain_names_the_fields_in_which_the_nearest_space_differs(tmp_path: Path) -> None:
    [key] = some_keys(1)
    far = {"backbone": {"name": "resnet", "pooling": "avg"}, "size": 96}
    near = {"backbone": {"name": "vgg16", "pooling": "avg"}, "size": 224, "extra": True}
    other_view = {"backbone": {"name": "vgg16", "pooling": "none"}, "size": 225}
    for description in (far, near):
        fill(tmp_path, [key], description=description)
    fill(tmp_path, some_keys(1, view=1), description=other_view)
    fill(tmp_path, [("ab" * 32, 0)], description=DESCRIPTION)
    found = explain(Store(tmp_path), DESCRIPTION, *key)
    json.dumps(asdict(found))
    assert not found.hit
    assert found.nearest == Store(tmp_path).space(near).id
    assert found.differences == [("backbone.pooling", "none", "avg"), ("extra", ABSENT, True)]
    assert found.sentences()[2:] == [
        'There, backbone.pooling is "avg"; you chose "none".',
        "There, extra is true; you chose (absent).",
    ]


def test_explain_tells_numbers_from_truths(tmp_path: Path) -> None:
    [key] = some_keys(1)
    fill(tmp_path, [key], description={"a": 1})
    assert explain(Store(tmp_path), {"a": True}, *key).differences == [("a", True, 1)]


def test_explain_falls_back_to_other_views(tmp_path: Path) -> None:
    digest = some_keys(1)[0][0]
    space = fill(tmp_path, [(digest, 2), (digest, 0)], description=DESCRIPTION)
    found = explain(Store(tmp_path), DESCRIPTION, digest, 5)
    assert (found.hit, found.nearest, found.views, found.differences) == (False, space.id, [0, 2], [])
    assert found.sentences()[1] == "The features that you chose have the image with view 0, 2."
    elsewhere = explain(Store(tmp_path), OTHER, digest, 5)
    assert (elsewhere.nearest, elsewhere.differences) == (space.id, [("size", 96, 224)])
    assert "No feature set has it" in elsewhere.sentences()[1]


def test_explain_bytes_that_were_never_extracted(tmp_path: Path) -> None:
    fill(tmp_path, some_keys(1), description=DESCRIPTION)
    found = explain(Store(tmp_path), DESCRIPTION, "ab" * 32, 0)
    assert (found.hit, found.nearest) == (False, None)
    assert found.sentences() == [
        f"No features of the image {'ab' * 6}… are stored: a file with these bytes was never extracted."
    ]


def test_rows_of_another_kind_are_not_the_nearest(tmp_path: Path) -> None:
    (key,) = some_keys(1)
    fill(tmp_path, [key], description={"kind": "pixels"})
    found = explain(Store(tmp_path), {"kind": "backbone"}, key[0], 0)
    assert (found.hit, found.nearest) == (False, None)
