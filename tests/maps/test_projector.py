from __future__ import annotations

import numpy as np

from featx.maps import projector


def test_each_image_is_a_line_of_numbers_and_one_of_words() -> None:
    X = np.array([[1.5, -2.0], [1e-7, 3.25]], np.float32)
    lines = "".join(projector.tensors(X))
    np.testing.assert_allclose([[float(cell) for cell in line.split("\t")] for line in lines.splitlines()], X)
    words = "".join(projector.metadata({"path": ["a\tb.png", "c\nd.png"], "added": [True, False]}))
    assert words == "path\tadded\na b.png\tTrue\nc d.png\tFalse\n"


def test_the_configuration_names_the_files_and_quotes_the_name() -> None:
    text = projector.config('my "run" \\1')
    assert 'tensor_name: "my \\"run\\" \\\\1"' in text
    assert f'"{projector.TENSORS}"' in text
    assert f'"{projector.METADATA}"' in text
