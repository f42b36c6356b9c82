"""Reports as pages: their order, what they load, what can be missing, and the command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from html_page import Node, read_page
from PIL import Image
from pipeline_data import files_of, small_data, small_recipe
from report_pages import SLOW, all_covid, edited, read_json, section_ids
from typer.testing import CliRunner

import featx
from featx import limits
from featx.cli import app
from featx.errors import RunError, UsageError
from featx.reports.reporting import report
from featx.runs import FitResult, fit_head

pytestmark = pytest.mark.slow

ALONE = ["results", "errors", "audit", "maps", "clusters", "data", "model", "training", "provenance", "limits"]


# The page as a page


def test_it_is_one_page_in_order(page: Node) -> None:
    assert section_ids(page, 2) == ALONE
    links = [node.attributes["href"][1:] for node in page.all("nav")[0].all("a")]
    assert [name for name in links if name in ALONE] == ALONE
    # The audit alone has parts, which follow it in the contents.
    parts = links[links.index("audit") + 1 : links.index("maps")]
    assert parts[0] == "alarms"
    assert set(parts) == set(links) - set(ALONE) <= set(section_ids(page, 3))
    headings = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))


def test_ids_are_unique_and_links_lead_somewhere(page: Node) -> None:
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) > 50
    assert [name for name, times in Counter(ids).items() if times > 1] == []
    text = [value for node in page.walk() for value in node.attributes.values()]
    used = [name for value in text for name in re.findall(r"url\(#(.+?)\)", value)]
    colour = r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"
    used += [value[1:] for value in text if re.fullmatch(rf"(?!{colour}$)#[A-Za-z][\w.-]+", value)]
    for name in ("aria-labelledby", "aria-describedby"):
        used += [node.attributes[name] for node in page.walk() if name in node.attributes]
    assert len(used) > 50
    assert set(used) <= set(ids)


def test_nothing_is_loaded_from_elsewhere(page: Node) -> None:
    policy = {node.attributes.get("http-equiv"): node.attributes.get("content", "") for node in page.all("meta")}
    assert policy["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
    for node in page.walk():
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
            assert not re.match(r"(?!data:)\w+:|//", node.attributes.get(name, ""), re.ASCII), node
    assert not page.all("iframe", "object", "embed", "base")
    styles = " ".join(node.text for node in page.all("style"))
    assert "@import" not in styles
    assert not re.search(r"url\((?!\s*[\"']?data:)", styles)


def test_tables_have_captions_and_headers(page: Node) -> None:
    tables = page.all("table")
    assert len(tables) > 8
    for table in tables:
        assert table.all("caption")[0].text
        assert all(node.attributes.get("scope") for node in table.all("th"))
        assert all(row.all("th", scope="row") for row in table.all("tbody")[0].all("tr"))


def test_pictures_have_text_alternatives(page: Node) -> None:
    assert page.all("img")
    assert all(node.attributes["alt"] for node in page.all("img"))
    cards = page.all("div", class_="card")
    of_audit = page.id("audit").all("div", class_="card")
    assert len(of_audit) > 2
    assert len(cards) == len(of_audit) + 4  # curves, silhouettes and, for paper, two maps
    assert all(node.attributes["role"] == "img" and node.attributes["aria-label"] for node in cards)
    assert page.all("html")[0].attributes["lang"] == "en"


def test_the_same_run_gives_the_same_page(cache: Path, fitted: FitResult, tmp_path: Path) -> None:
    written = [report(fitted.run, out=tmp_path / f"{n}.html", cache=cache, without=SLOW) for n in range(2)]
    texts = [re.sub(r"Written .*? by", "", one.file.read_text("utf-8")) for one in written]
    assert texts[0] == texts[1]
    assert written[0].bytes == written[0].file.stat().st_size


HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}"


def test_names_of_users_are_text(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    phantoms = small_data(tmp_path / "phantoms", train=4, test=2, classes=2)
    for place, path in enumerate(files_of(phantoms)):
        label = {"covid": "<b>a&b</b>", "normal": "</script><script>alert(2)</script>"}[path.parent.name]
        target = data / path.parent.parent.name / label.replace("/", "\u2215") / f"{HOSTILE}{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    recipe = small_recipe(tiny_model, {"name": "<script>alert(3)</script>"})
    run = fit_head(data, recipe, out=tmp_path / "<i>run", cache=tmp_path / "cache").run
    page = read_page(report(run, without=["comparison"], cache=tmp_path / "cache").file)
    assert page.all("h1")[0].text == "<script>alert(3)</script>: <i>run"
    assert page.all("title")[0].text == page.all("h1")[0].text
    assert not page.all("b", "i")
    assert not [node for node in page.walk() if "onerror" in node.attributes]
    assert all(node.attributes["src"].startswith("data:") for node in page.all("img"))
    assert not [node for node in page.all("script") if node.text.startswith("alert")]
    names = {node.text for node in page.id("data").all("p", class_="name")}
    assert all(HOSTILE in name for name in names)


# Other data


def test_without_a_test_split(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=5, test=1)
    shutil.rmtree(data / "test")
    run = fit_head(data, small_recipe(tiny_model), out=tmp_path / "run", cache=tmp_path / "cache").run
    page = read_page(report(run, without=SLOW).file)
    model = page.all("p", class_="headline")[0].text
    assert f"parameters on {tiny_model.name} (its own weights), trained on " in model
    assert page.all("p", class_="headline")[1].text.startswith("There is no test split. Validation accuracy: ")
    assert "The data has no test split" in page.id("results").text
    assert page.id("results").table("Accuracy")[1] == ["test", "–", "–", "–", "–", "–"]
    assert "There is no test split" in page.id("limits").text


def test_random_weights_are_shown_twice(fitted: FitResult, tmp_path: Path) -> None:
    run = shutil.copytree(fitted.run, tmp_path / "run")
    manifest = read_json(run / "manifest.json")
    manifest["weights"]["source"] = "random:3"
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    page = read_page(report(run, without=SLOW).file)
    assert len(page.all("p", class_="note loud")) == 2
    assert page.all("header")[0].all("p", class_="note loud")[0].text.startswith("The backbone's weights are random")


def test_alarms_of_the_audit_stand_beside_the_accuracy(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=6, test=2)
    Image.open(data / "train/covid/covid-000.png").save(data / "test/covid/copy.png", compress_level=1)
    run = fit_head(data, small_recipe(tiny_model), out=tmp_path / "run", cache=tmp_path / "cache").run
    without = ["maps", "comparison", "clusters"]
    page = read_page(report(run, out=tmp_path / "page.html", without=without, cache=tmp_path / "cache").file)
    noted = [note.text for note in page.all("header")[0].all("p", class_="note loud")]
    (alarm,) = (text for text in noted if text.startswith("The audit of run raised"))
    assert "1 of 9 test images is a copy of images for training" in alarm
    assert "copy.png" in alarm
    quiet = read_page(report(run, out=tmp_path / "quiet.html", without=SLOW, cache=tmp_path / "cache").file)
    assert "The audit of" not in quiet.all("header")[0].text


# What is missing


def test_images_whose_files_have_changed_are_counted_and_not_shown(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=4, test=1)
    run = fit_head(data, small_recipe(tiny_model), out=tmp_path / "run", cache=tmp_path / "cache").run
    for path in files_of(data):
        path.write_bytes(b"another image")
    run = edited(run, tmp_path / "all-covid", all_covid)
    page = read_page(report(run, without=["audit", "clusters", "comparison"], cache=tmp_path / "cache").file)
    assert not page.all("img")
    assert "Not shown: 16 of 16 sample images" in page.id("data").text
    assert "Not shown: 3 of 3 misclassified images" in page.id("errors").text
    assert len(page.id("errors").all("div", class_="gone")) >= 3


def test_missing_features_leave_the_rest(fitted: FitResult, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written = report(fitted.run, out=tmp_path / "page.html", cache=tmp_path / "empty")
    assert list(written.left_out) == [f"run: {name}" for name in SLOW]
    page = read_page(written.file)
    assert sorted(section_ids(page, 2)) == sorted([*ALONE, "comparison"])
    assert page.id("maps").text.startswith("Maps This part could not be made.")
    assert "has no maps" in caplog.text
    assert not page.all("script"), "a page without maps needs no script"


def test_what_is_left_out_is_not_made(fitted: FitResult, tmp_path: Path) -> None:
    written = report(fitted.run, out=tmp_path / "page.html", without=SLOW, cache=tmp_path / "empty")
    assert written.left_out == {}
    assert not set(section_ids(read_page(written.file), 2)) & set(SLOW)


def test_a_section_that_is_too_much_is_left_out_unless_permitted(
    fitted: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LITTLE_MEMORY", 0)
    monkeypatch.setattr(limits, "available_memory", lambda: 0)
    wanted: dict[str, Any] = {
        "out": tmp_path / "page.html",
        "without": ["audit", "maps", "comparison"],
        "cache": cache,
    }
    written = report(fitted.run, **wanted)
    assert list(written.left_out) == ["run: clusters"]
    assert "--yes" in written.left_out["run: clusters"]
    assert report(fitted.run, **wanted, yes=True).left_out == {}


def test_wrong_usage(fitted: FitResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected a file for the report of several runs"):
        report(fitted.run, fitted.run)
    with pytest.raises(UsageError, match="received maps3"):
        report(fitted.run, without=["maps3"])
    with pytest.raises(UsageError, match="received the folder"):
        report(fitted.run, out=tmp_path)
    with pytest.raises(UsageError, match="received none"):
        report()
    with pytest.raises(RunError, match="does not exist"):
        report(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "predictions.csv"])
def test_a_damaged_run_is_named_in_a_sentence(fitted: FitResult, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(fitted.run, tmp_path / "run")
    (run / name).write_text('{"test": \n1,2,"', "utf-8")
    with pytest.raises(RunError, match=re.escape(name)):
        report(run, without=SLOW)
    assert not (run / "report.html").exists()


def test_it_needs_no_network(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    script = (
        f"import sys, featx\nwritten = featx.report({str(fitted.run)!r}, out={str(tmp_path / 'page.html')!r}, "
        f"without=['comparison'], cache={str(cache)!r})\nprint(written.left_out, *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    left_out, *modules = done.stdout.split()
    assert left_out == "{}"
    assert "bokeh" in modules
    assert not {"tensorflow", "keras", "umap"} & set(modules)


# The command


def test_the_command_writes_into_the_run(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    run = shutil.copytree(fitted.run, tmp_path / "run")
    without = ", ".join(SLOW)
    done = CliRunner().invoke(app, ["report", str(run), "--cache", str(cache), "--without", without, "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["file"] == str(run / "report.html")
    assert document["bytes"] == (run / "report.html").stat().st_size
    assert document["left_out"] == {}
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert featx.report is report
