"""What a page says, read as text; tests/test_interactive_browser.py uses it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from html_page import parse

from featx.errors import UsageError
from featx.images import MAX_THUMBNAILS, Atlas
from featx.images.thumbnails import assembled
from featx.maps.bokeh_plot import REST, legend_entries
from featx.maps.interactive import MapData, components, page, resources, summary
from featx.plots import class_style

HOSTILE = "</script><script>alert(1)</script>.png"


def some_map(n: int = 6, **changes: Any) -> MapData:
    data = MapData(
        points=np.random.default_rng(0).normal(size=(n, 2)),
        labels=tuple("ab"[i % 2] for i in range(n)),
        names=tuple(f"{i}.png" for i in range(n)),
        title="a map",
        note="PCA",
        predicted=("a",) * n,
        confidence=tuple(np.linspace(0.5, 1, n).tolist()),
    )
    return replace(data, **changes)


def some_atlas(n: int, blank: int | None = None) -> Atlas:
    return assembled((None if i == blank else np.full((24, 24, 3), 30 * i, np.uint8) for i in range(n)), n, 24)


def payload(script: str) -> dict[str, Any]:
    content = re.fullmatch(r'<script type="application/json" id="[a-z0-9-]+">(.*)</script>\n', script, re.DOTALL)
    assert content
    document: dict[str, Any] = json.loads(content[1])
    return document


def test_the_page_says_in_words_what_the_map_shows() -> None:
    data = some_map(placed=("",) * 4 + ("test", "new"), predicted=("a", "b") * 3, atlas=some_atlas(6, blank=3))
    assert summary(data) == (
        "By class: a 3, b 3. 6 images, 0 misclassified, 1 new image placed on the map afterwards (hollow), "
        "1 test image placed on the map afterwards (hollow). "
        "1 image without a thumbnail: the file is missing or has changed."
    )
    text = page(data)
    assert summary(data) in text
    shown = parse(text)
    assert [node.text for node in shown.all("title", "h1", "h2")] == ["a map", "a map", "Selected images"]
    entries = [node.text for node in shown.all("button") if "data-group" in node.attributes]
    assert entries == ["a 2", "test 1", "b 2", "new 1"]


def test_the_script_has_the_data_of_each_image() -> None:
    data = some_map(atlas=some_atlas(6, blank=3))
    script_data = payload(components(data)[0])
    assert script_data["names"] == list(data.names)
    assert [script_data["classes"][i] for i in script_data["labels"]] == list(data.labels)
    assert [script_data["classes"][i] for i in script_data["predicted"]] == list(data.predicted or ())
    assert script_data["confidence"] == pytest.approx(data.confidence)
    assert script_data["wrong"] == [1, 3, 5]
    assert [group["index"] for group in script_data["groups"]] == [[0, 2, 4], [1, 3, 5]]
    assert script_data["atlas"]["blank"] == [3]
    assert (script_data["atlas"]["columns"], script_data["atlas"]["rows"]) == (3, 2)


def test_wrong_is_measured_by_the_class_whatever_colours_the_points() -> None:
    assert some_map().wrong.tolist() == [False, True] * 3
    by_sex = some_map(by="sex", labels=("f", "m") * 3, truth=("a",) * 5 + ("b",))
    assert by_sex.wrong.tolist() == [False] * 5 + [True]
    assert not some_map(labels=("",) * 6).wrong.any()
    assert not some_map(predicted=None).wrong.any()


def test_the_page_says_how_misclassified_images_are_marked() -> None:
    assert "3 misclassified (outlined)" in summary(some_map())
    assert "1 misclassified (ringed)" in summary(some_map(7, predicted=(*"ababab", "b")))


def test_the_frame_follows_the_points() -> None:
    for scale, aspect in (([9, 1], "2.00"), ([1, 9], "1.00")):
        body = components(some_map(points=np.array([[0, 0], [1, 1], *[[0.5, 0.5]] * 4]) * scale))[1]
        assert f'class="featx-stage" style="aspect-ratio:{aspect}"' in body


def test_misclassified_points_are_drawn_last_whatever_their_class() -> None:
    few = payload(components(some_map(20, predicted=(*"bb", *"ab" * 9), placed=("", *["test"] * 19)))[0])
    many = payload(components(some_map(20))[0])
    for script, mark in ((few, "rings"), (many, "outlines")):
        names = re.findall(
            r'"name":"((?:points|wrong|rings|outlines)-\d+)"', json.dumps(script["plot"], separators=(",", ":"))
        )
        kinds = [name.split("-")[0] for name in names]
        assert kinds.index("wrong") > max(place for place, kind in enumerate(kinds) if kind == "points")
        assert {"rings", "outlines"} & set(kinds) == {mark}


def test_the_same_map_gives_the_same_page() -> None:
    assert page(some_map()) == page(some_map())
    assert page(some_map()) != page(some_map(points=some_map().points + 1))


def test_several_maps_stand_on_one_page() -> None:
    maps = [some_map(), some_map(7), some_map(title="another")]
    parts = [components(data, heading=2) for data in maps]
    shown = parse("".join(script + body for script, body in parts))
    ids = [node.attributes["id"] for node in shown.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids)) == 3 * 5
    assert [node.text for node in shown.all("h2")] == ["a map", "a map", "another"]
    assert [node.text for node in shown.all("h3")] == ["Selected images"] * 3
    bokeh = [set(re.findall(r'"id":"([^"]+)"', script)) for script, _ in parts]
    assert all(len(ids) > 20 for ids in bokeh)
    assert not bokeh[0] & bokeh[1]
    assert not bokeh[0] & bokeh[2]
    assert 'id="mine"' in components(some_map(), key="mine")[1]


def test_one_atlas_serves_several_maps() -> None:
    data = some_map(atlas=some_atlas(6))
    assert data.atlas is not None
    first, second = (components(data, with_atlas=flag)[1] for flag in (True, False))
    assert first.count(data.atlas.uri()) == 1
    assert data.atlas.uri() not in second
    assert payload(components(data)[0])["atlas"]["name"] in first


def test_names_end_no_element() -> None:
    data = some_map(
        title=HOSTILE, note=HOSTILE, names=(HOSTILE,) * 6, labels=(HOSTILE,) * 6, predicted=(HOSTILE,) * 6, by=HOSTILE
    )
    script, body = components(data)
    assert "<script>alert" not in script + body
    script_data = payload(script)
    assert script_data["names"] == [HOSTILE] * 6
    shown = parse(body)
    assert HOSTILE in [node.text for node in shown.all("h3")]
    assert not shown.all("script")
    assert len(parse(page(data)).all("script")) == len(parse(page(some_map())).all("script"))


def test_nothing_is_loaded_from_elsewhere() -> None:
    shown = parse(page(some_map(atlas=some_atlas(6))))
    (policy,) = shown.all("meta", **{"http-equiv": "Content-Security-Policy"})
    expected = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    assert policy.attributes["content"] == expected
    for node in shown.walk():
        assert "src" not in node.attributes, node.tag
        assert node.attributes.get("href", "data:").startswith("data:")
    assert not shown.all("iframe", "object", "embed", "img", "form", "base")
    assert [node.attributes["href"] for node in shown.all("link")] == ["data:,"]
    assert "@import" not in resources().split("<script")[0]
    assert "url(" not in resources().split("<script")[0]


def test_too_many_images_for_thumbnails_are_reported() -> None:
    n = MAX_THUMBNAILS + 1
    data = MapData(np.zeros((n, 2)), ("a",) * n, ("x",) * n, "large")
    assert summary(data).endswith("Thumbnails are left out of maps of more than 28,900 images.")
    assert "Thumbnails" not in summary(some_map())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("a",)}, "labels of the 6 points of a map, received 1"),
        ({"confidence": (0.5,) * 7}, "confidence of the 6 points of a map, received 7"),
        ({"atlas": some_atlas(5)}, "thumbnails of the 6 points of a map, received 5"),
        ({"points": np.zeros((6, 3))}, r"\(n, 2\), received \(6, 3\)"),
        ({"points": np.full((6, 2), np.nan)}, "finite pairs"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        some_map(**change)


def test_very_many_labels_and_points_are_bounded() -> None:
    n, k = 120_000, 1000
    labels = tuple(f"class {min(i % (k + 3), k):04}" for i in range(n))
    names = tuple(f"{i}.png" for i in range(n))
    points = np.random.default_rng(0).normal(size=(n, 2))
    script, body = components(MapData(points, labels, names, "title"))
    payload = json.loads(script[script.index(">") + 1 : script.rindex("</script>")])
    assert len(payload["names"]) == 100_000
    groups = payload["groups"]
    assert len(groups) == 60
    # Each shown point is in one group, and keeps its own label and name.
    assert sorted(place for group in groups for place in group["index"]) == list(range(100_000))
    for place in (0, 50_000, 99_999):
        original = int(payload["names"][place].removesuffix(".png"))
        assert payload["classes"][payload["labels"][place]] == labels[original]
    assert "942 more" in body
    assert "100,000 of 120,000 images are shown" in body
    assert len(body) < 60_000


def test_images_without_a_value_are_grey_and_take_no_colour_from_a_class() -> None:
    (blank, *others) = legend_entries(["", "b", "a", ""], None)
    assert (blank.label, blank.colour) == ("", REST)
    assert [(entry.label, entry.colour) for entry in others] == [("a", class_style(0)[0]), ("b", class_style(1)[0])]
