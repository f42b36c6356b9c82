from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from featx.errors import FeatxError, RecipeError, UsageError
from featx.recipes.files import dump_recipe, load_recipe, override, recipe_names
from featx.recipes.schema import DenseLayer, DropoutLayer, Recipe

NAMES = (
    "covid2-vgg16",
    "covid2-vgg16-asrun",
    "covid4-efficientnetlite0",
    "covid4-resnet50v2",
    "covid4-resnet50v2-asrun",
    "covid4-resnet50v2-factors",
    "covid4-vgg16",
    "covid4-vgg16-asrun",
    "linear",
    "mlp",
)
BACKBONE = '[backbone]\nname = "vgg16"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(source: str | Path, overrides: dict[str, Any] | None = None) -> FeatxError:
    with pytest.raises(FeatxError) as caught:
        load_recipe(source, overrides)
    return caught.value


def test_the_recipes_that_come_with_featx() -> None:
    assert tuple(recipe_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_survives_being_written_and_read(name: str, write: Write) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    again = load_recipe(write(dump_recipe(recipe)))
    assert again == recipe
    assert dump_recipe(again) == dump_recipe(recipe)


@pytest.mark.parametrize(
    "changes",
    [
        {"fit.learning_rate": 1.2345678901234567e-7, "views.rotation": 1 / 3},
        {"preprocess.mode": "featurewise", "preprocess.mean": (0.1, 0.2, 1 / 3), "preprocess.std": (1e-9, 1.0, 2.0)},
        {"description": 'quotes " and \\ and\nlines, été', "features.dtype": "float16"},
        {"backbone.cut": "block4_pool", "fit.seed": 2**32 - 1},
        {"head.layers": ({"type": "dense", "units": 3, "name": "a"},), "head.penultimate": "a"},
        {"head.layers": (), "head.penultimate": None},
    ],
)
def test_every_value_survives_being_written_and_read(changes: dict[str, Any], write: Write) -> None:
    recipe = load_recipe("covid4-resnet50v2-factors").replaced(changes)
    assert load_recipe(write(dump_recipe(recipe))) == recipe


def test_a_written_recipe_has_every_default() -> None:
    text = dump_recipe(load_recipe("covid2-vgg16"))
    for line in ("fill = 0", "seed = 0", 'dtype = "float32"', 'resize = "bilinear"', 'optimizer = "adam"'):
        assert line in text
    assert "base" not in text


def test_the_recipes_of_the_report() -> None:
    two, four, resnet = map(load_recipe, ("covid2-vgg16", "covid4-vgg16", "covid4-resnet50v2"))
    relu = DenseLayer(type="dense", units=2048, activation="relu")
    linear = DenseLayer(type="dense", units=256)
    first, second = (DropoutLayer(type="dropout", rate=rate) for rate in (0.4, 0.3))
    assert two.head.layers == (DenseLayer(type="dense", units=256, activation="relu"),)
    assert four.head.layers == (first, relu, second, linear)
    assert resnet.head.layers == (second, linear, DropoutLayer(type="dropout", rate=0.2))
    assert [r.head.output for r in (two, four, resnet)] == ["sigmoid", "softmax", "softmax"]
    assert [r.head.penultimate for r in (two, four, resnet)] == ["dense_1", "dense_2", "dense_1"]
    assert [r.fit.epochs for r in (two, four, resnet)] == [40, 100, 100]
    assert [r.backbone.pooling for r in (two, four, resnet)] == ["none", "none", "avg"]
    for recipe in (two, four, resnet):
        assert (recipe.fit.batch_size, recipe.fit.validation, recipe.fit.learning_rate) == (10, 0.2, 1e-3)
        assert (recipe.preprocess.mode, recipe.images.size) == ("featurewise", 224)


@pytest.mark.parametrize("base", ["covid2-vgg16", "covid4-vgg16", "covid4-resnet50v2"])
def test_as_run_differs_from_as_described_in_preprocessing_alone(base: str) -> None:
    asrun = load_recipe(f"{base}-asrun")
    described = load_recipe(base)
    assert asrun.preprocess.mode == "rescale"
    same = {"preprocess.mode": "rescale", "name": asrun.name, "description": asrun.description}
    assert asrun == described.replaced(same)


def test_a_copied_and_edited_recipe_by_its_path(write: Write) -> None:
    text = dump_recipe(load_recipe("covid4-vgg16"))
    assert text.count("epochs = 100") == 1
    path = write(text.replace("epochs = 100", "epochs = 7"))
    expected = load_recipe("covid4-vgg16").replaced({"fit.epochs": 7})
    assert load_recipe(path) == load_recipe(str(path)) == expected


def test_a_path_wins_over_a_name_and_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("covid4-vgg16.toml").write_text(f'name = "mine"\n{BACKBONE}', encoding="utf-8")
    assert load_recipe("covid4-vgg16.toml").name == "mine"
    assert load_recipe("covid4-vgg16").name == "covid4-vgg16"
    shutil.copy("covid4-vgg16.toml", "plain")
    assert load_recipe("./plain").name == "mine"


def test_a_base_gives_the_fields_that_a_recipe_does_not_set(write: Write) -> None:
    path = write('base = "covid4-resnet50v2-factors"\nname = "mine"\n[fit]\nepochs = 5\n[views]\ncount = 2\n')
    base = load_recipe("covid4-resnet50v2-factors")
    assert load_recipe(path) == base.replaced({"name": "mine", "fit.epochs": 5, "views.count": 2})


@pytest.mark.parametrize("base", ["covid4-vgg", 3, ["covid4-vgg16"], ""])
def test_a_base_that_is_not_a_name(base: object, write: Write) -> None:
    error = refusal(write(tomli_w.dumps({"base": base})))
    assert isinstance(error, RecipeError)
    assert f"base must be one of {', '.join(NAMES)}, received {base!r}" in str(error)


def layer(text: str) -> str:
    return f"[head]\nlayers = [{{ {text} }}]\n{BACKBONE}"


def schedule(text: str) -> str:
    return f"{BACKBONE}[fit.schedule]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "field", "near"),
    [
        ('nmae = "x"\n' + BACKBONE, "nmae", "name"),
        ("[fitt]\nepochs = 3\n" + BACKBONE, "fitt", "fit"),
        ('[bakbone]\nname = "vgg16"\n', "bakbone", "backbone"),
        (BACKBONE + "[fit]\nepoch = 3\n", "fit.epoch", "epochs"),
        (BACKBONE + 'poling = "avg"\n', "backbone.poling", "pooling"),
        (schedule('kin = "factor"\nboundaries = [1]\nvalues = [1, 2]'), "fit.schedule.kin", "kind"),
        (layer('type = "dropout", rat = 0.3'), "head.layers[0].rat", "rate"),
        (layer('type = "dense", unit = 3'), "head.layers[0].unit", "units"),
        ("[head]\nlayer = []\n" + BACKBONE, "head.layer", "layers"),
    ],
)
def test_a_misspelt_field_is_named_with_its_nearest(text: str, field: str, near: str, write: Write) -> None:
    path = write(text)
    error = refusal(path)
    assert isinstance(error, RecipeError)
    assert error.exit_code == 1
    assert str(error).startswith(f"Recipe {path}: there is no field {field}; did you mean {near}?")


def test_a_field_without_a_similar_name_lists_all_fields_of_the_table(write: Write) -> None:
    error = refusal(write(BACKBONE + "zzz = 3\n"))
    assert str(error).endswith("there is no field backbone.zzz; there are cut, name, pooling, precision, weights.")
    error = refusal(write(layer('type = "dense", units = 3, dropout = 0.5')))
    assert "no field head.layers[0].dropout; there are activation, name, rate, type, units." in str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BACKBONE + '[fit]\nepochs = "ten"\n', "fit.epochs: input should be a valid integer, received 'ten'."),
        (BACKBONE + "[fit]\nepochs = 1.5\n", "fit.epochs: input should be a valid integer, received 1.5."),
        (BACKBONE + "[fit]\nepochs = true\n", "fit.epochs: input should be a valid integer, received True."),
        (BACKBONE + "[fit]\nepochs = 0\n", "fit.epochs: input should be greater than or equal to 1, received 0."),
        (BACKBONE + "[fit]\nepochs = 2020-04-01\n", "fit.epochs: input should be a valid integer, received '2020-04"),
        (BACKBONE + "[fit]\nvalidation = 1\n", "fit.validation: input should be less than 1, received 1"),
        (BACKBONE + "[fit]\nlearning_rate = nan\n", "fit.learning_rate: input should be a finite number"),
        (
            BACKBONE + "[views]\nvertical_flip = 1\n",
            "views.vertical_flip: input should be a valid boolean, received 1",
        ),
        ("[backbone]\nname = 3\n", "backbone.name: input should be a valid string, received 3."),
        ("fit = 3\n" + BACKBONE, "fit: input should be an object, received 3."),
        ("[head]\nlayers = 3\n" + BACKBONE, "head.layers: input should be a valid array, received 3."),
        ("[head]\nlayers = [3]\n" + BACKBONE, "head.layers[0]: input should be an object, received 3."),
        (schedule('kind = "factor"\nboundaries = [1]\nvalues = [1]'), "fit.schedule: values must be one more than"),
        (schedule('kind = "factor"\nboundaries = [1]\nvalues = [1, 1, 1]'), "fit.schedule: values must be one more"),
        (schedule('kind = "factor"\nboundaries = []\nvalues = []'), "fit.schedule: values must be one more than"),
        (schedule('kind = "factor"\nboundaries = [2, 1]\nvalues = [1, 1, 1]'), "fit.schedule: boundaries must incr"),
        (schedule('kind = "factor"\nboundaries = [2, 2]\nvalues = [1, 1, 1]'), "fit.schedule: boundaries must incr"),
        (
            BACKBONE + '[preprocess]\nmode = "rescale"\nmean = [1, 1, 1]\nstd = [1, 1, 1]\n',
            "preprocess: mean and std",
        ),
        ('[head]\npenultimate = "x"\n' + BACKBONE, "head: penultimate must name a dense layer (there is none), rec"),
        (layer('type = "dense", units = 3, name = "1a"'), "head.layers[0].name: string should match pattern"),
    ],
)
def test_a_wrong_value_is_reported_with_its_field(text: str, says: str, write: Write) -> None:
    path = write(text)
    assert str(refusal(path)).startswith(f"Recipe {path}: {says}")


@pytest.mark.parametrize(
    ("text", "field", "received", "near"),
    [
        (BACKBONE + 'pooling = "avgg"\n', "backbone.pooling", "avgg", "avg"),
        (BACKBONE + '[preprocess]\nmode = "imagnet"\n', "preprocess.mode", "imagnet", "imagenet"),
        (BACKBONE + '[images]\nresize = "bicubik"\n', "images.resize", "bicubik", "bicubic"),
        (schedule('kind = "factors"\nboundaries = []\nvalues = [1]'), "fit.schedule.kind", "factors", "factor"),
        (layer('type = "dense", units = 3, activation = "rellu"'), "head.layers[0].activation", "rellu", "relu"),
        (layer('type = "dens", units = 3'), "head.layers[0].type", "dens", "dense"),
    ],
)
def test_a_wrong_choice_is_reported_with_the_nearest(
    text: str, field: str, received: str, near: str, write: Write
) -> None:
    message = str(refusal(write(text)))
    assert f": {field}: input should be " in message
    assert message.endswith(f"received '{received}'; did you mean {near}?")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "backbone"),
        ('name = "x"\n', "backbone"),
        ("[backbone]\n", "backbone.name"),
        (layer("units = 3"), "head.layers[0].type"),
        (layer('type = "dense"'), "head.layers[0].units"),
        (schedule('kind = "factor"\nvalues = [1]'), "fit.schedule.boundaries"),
    ],
)
def test_a_missing_field_is_named(text: str, field: str, write: Write) -> None:
    path = write(text)
    assert str(refusal(path)) == f"Recipe {path}: the field {field} is missing."


def test_further_errors_are_counted(write: Write) -> None:
    message = str(refusal(write(BACKBONE + '[fit]\nepochs = 0\nbatch_size = 0\nseed = "x"\n')))
    assert "fit.epochs" in message
    assert message.endswith("(2 more after this one.)")


def test_text_that_is_not_toml_is_reported_with_its_line(write: Write) -> None:
    path = write("[backbone\n")
    error = refusal(path)
    assert isinstance(error, RecipeError)
    assert str(error).startswith(f"Recipe {path} is not valid TOML:")
    assert "line 1" in str(error)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, reason in [
        (tmp_path / "absent.toml", "No such file or directory"),
        (tmp_path, "it is a folder"),
        (binary, "it is not UTF-8 text"),
    ]:
        error = refusal(path)
        assert isinstance(error, RecipeError)
        assert str(error) == f"Expected a recipe in TOML at {path}, but it cannot be read: {reason}."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a" + ".a" * 100_000 + " = 1\n", "more than 20 deep"),
        ('""' + '. ""' * 100_000 + " = 1\n", "more than 20 deep"),
        ("[a" + ".a" * 100_000 + "]\n", "more than 20 deep"),
        ('d = "\\"" # \'\nx = {' + "a . " * 30 + "a = 1}\n", "more than 20 deep"),
        ("x = " + "[" * 100_000, "more than 20 deep"),
        ("x = " + "{a = " * 100_000, "more than 20 deep"),
        ("x = " + "[" * 30 + "]" * 30, "more than 20 deep"),
        ("x = " + "1" * 5000, "a number of thousands of digits"),
        ("x = 0x" + "f" * 5000, "a whole number beyond 64 bits"),
        ("x = 9223372036854775808", "a whole number beyond 64 bits"),
        ("[" + "x" * 1_000_000 + "]", "there is no field xxx"),
        (
            "name = '" + "x" * 1_000_000 + "'\n" + BACKBONE,
            "name: string should have at most 4096 characters, received 'x",
        ),
        ('[backbone]\nname = "a\\u0000.keras"', "backbone.name: no file and no layer can have a null character"),
        (layer('type = "dense", units = 1_000_000_000'), "units: input should be less than or equal to 1000000"),
        (
            "[head]\nlayers = [" + '{type = "dropout", rate = 0},' * 101 + "]\n" + BACKBONE,
            "should have at most 100 items",
        ),
        (BACKBONE + "[fit]\nepochs = 1_000_000_000", "fit.epochs: input should be less than or equal to 1000000"),
        (
            BACKBONE + "[fit]\nbatch_size = 1_000_000_000_000_000_000",
            "batch_size: input should be less than or equal",
        ),
        (BACKBONE + "[fit]\nlearning_rate = inf", "fit.learning_rate: input should be a finite number, received inf"),
    ],
    ids=lambda text: text[-30:],
)
def test_absurd_recipes_are_refused_at_once_in_a_short_sentence(text: str, says: str, write: Write) -> None:
    path = write(text)
    message = str(refusal(path))
    assert says in message
    assert len(message.removeprefix(f"Recipe {path}")) < 300


@pytest.mark.parametrize(
    ("start", "end"), [('"', '"'), ("'", "'"), ('"""', '"""'), ("'''", "'''"), ('"""\\"" ', '""""')], ids=ascii
)
def test_text_may_be_long_and_have_many_dots(start: str, end: str, write: Write) -> None:
    dots = "a" + ".b" * 1000
    recipe = load_recipe(
        write(f"# It's {dots}\ndescription = {start}{dots}{'c' * 200_000}{end} # {dots}\n" + BACKBONE)
    )
    assert dots + "c" * 200_000 in recipe.description


def test_a_recipe_may_have_a_byte_order_mark_and_lines_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BACKBONE.replace("\n", "\r\n").encode())
    assert load_recipe(path).backbone.name == "vgg16"


@pytest.mark.parametrize("place", ["/dev/zero", "/proc/self/pagemap", "a\0.toml", "x" * 300 + ".toml"], ids=ascii)
def test_what_is_no_file_is_no_recipe(place: str) -> None:
    assert "Expected a recipe in TOML at" in str(refusal(place))


def test_a_recipe_of_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2**30)
    assert "it has 1,024.0 MiB, more than the limit of 1 MiB." in str(refusal(tmp_path / "large.toml"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fit.epochs", 10**5000),
        ("fit.learning_rate", -(10**5000)),
        ("head.layers." + "9" * 5000, 1),
        (".".join("a" * 5000), 1),
        ("a" * 5000, 1),
    ],
    ids=["integer", "negative", "index", "deep", "name"],
)
def test_an_absurd_override_is_wrong_usage(field: str, value: object) -> None:
    assert isinstance(refusal("covid4-vgg16", {field: value}), UsageError)


def test_an_unknown_name_is_wrong_usage_and_names_the_nearest() -> None:
    error = refusal("covid4-vg16")
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert "No recipe is named 'covid4-vg16'; did you mean covid4-vgg16?" in str(error)
    assert f"there are {', '.join(NAMES)}." in str(refusal("zzz"))
    assert "No recipe is named ''" in str(refusal(""))


def test_overrides_win_over_file_and_base(write: Write) -> None:
    path = write('base = "covid4-vgg16"\n[fit]\nepochs = 5\nseed = 3\n')
    changes = {"fit.epochs": 6, "fit.batch_size": 4, "fit.seed": None, "name": "mine"}
    recipe = load_recipe(path, changes)
    assert (recipe.fit.epochs, recipe.fit.batch_size, recipe.fit.seed, recipe.name) == (6, 4, 3, "mine")
    assert recipe == load_recipe(path).replaced({"fit.epochs": 6, "fit.batch_size": 4, "name": "mine"})


def test_overrides_of_nothing_leave_the_recipe() -> None:
    recipe = load_recipe("covid2-vgg16")
    assert override(recipe, {}) == override(recipe, {"fit.epochs": None}) == recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("fit.epochs", 0, "fit.epochs: input should be greater than or equal to 1, received 0."),
        ("fit.epochs", "x", "fit.epochs: input should be a valid integer, received 'x'."),
        ("backbone.pooling", "avgg", "received 'avgg'; did you mean avg?"),
        ("fit.epoch", 3, "there is no field fit.epoch; did you mean epochs?"),
        ("fitt.epochs", 3, "there is no field fitt; did you mean fit?"),
        ("nmae", "x", "there is no field nmae; did you mean name?"),
        ("fit.schedule.kind", "factor", "the field fit.schedule.boundaries is missing."),
        ("name.first", "x", "name: input should be a valid string."),
    ],
)
def test_a_bad_override_is_wrong_usage(field: str, value: object, says: str) -> None:
    error = refusal("covid2-vgg16", {field: value})
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert str(error).startswith("Recipe covid2-vgg16: ")
    assert says in str(error)


def test_a_field_of_a_schedule_can_be_overridden_where_there_is_one() -> None:
    recipe: Recipe = load_recipe("covid4-resnet50v2", {"fit.schedule.kind": "factor"})
    assert recipe.fit.rate(80) == pytest.approx(1e-4)
