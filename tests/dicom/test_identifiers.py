"""Which names of files and folders contain what identifies a patient."""

from __future__ import annotations

import pytest

from featx.dicom import AnyOf
from featx.dicom.identifiers import of_date, of_id, of_person, of_time


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ("Doe^Jane", "JANE DOE"),
        ("Doe^Jane", "doe_jane_2"),
        ("Doe^Jane", "DoeJane"),
        ("Doe^Jane", "scan-of-doe"),
        ("Featherstone^Ann", "xfeatherstone7"),
        ("Müller^A", "Mueller"),
        ("Müller^A", "muller, a"),
        ("Müller^A", "MU\u0308LLER"),
        ("O'Brien^Sean", "obrien"),
        ("Li^Na=李^娜=", "李娜_1"),
        ("Li^Na", "Li_Na"),
        ("Li^Na", "scan lina"),
        ("Featherstone^Ann", "FEATHERS.dcm"),
        ("Featherstone^Ann", "FEATHE01"),
        ("Doe^Jane", "DOEJAN"),
        ("Müßiggänger^A", "MUESSIGG"),
    ],
)
def test_names_of_people_are_recognised(person: str, name: str) -> None:
    assert of_person(person).are_in(name)
    assert AnyOf([of_person("Somebody^Else"), of_person(person)]).are_in(name)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ("Lee^Ann", "scanner"),
        ("Lee^Ann", "asleep"),
        ("Art^J", "heart"),
        ("Doe^Jane", "train"),
        ("Anonymous", "anonymous_1"),
        ("Patient^Test", "patient 7"),
        ("", "anything"),
        ("A^B", "ab"),
        ("Li^Na", "salina"),
        ("Featherstone^Ann", "feat"),
        ("Featherstone^Ann", "leathers"),
    ],
)
def test_words_that_only_look_like_names_are_left_alone(person: str, name: str) -> None:
    assert not of_person(person).are_in(name)
    assert not AnyOf([of_person(person)]).are_in(name)


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("PID-0042", "xx_pid0042.dcm", True),
        ("1", "1", True),
        ("1", "1.dcm", True),
        ("1", "IM1.dcm", False),
        ("12", "12.png", True),
        ("12", "2012.png", False),
        ("0", "0.png", False),
        ("1.2.840.113.5", "1.2.840.113.5", True),
        ("1.2.840.113.5", "CR.1.2.840.113.5.dcm", True),
        ("1.2.840.113.5", "1.2.840.113.4", False),
    ],
)
def test_ids(value: str, name: str, expected: bool) -> None:
    assert of_id(value).are_in(name) is expected


def test_dates_and_times_in_the_orders_in_which_people_write_them() -> None:
    born = of_date("19470102")
    assert all(map(born.are_in, ("1947-01-02", "x19470102y", "02.01.1947", "01/02/1947")))
    assert not born.are_in("19470103")
    assert not of_date("").are_in("00000000")
    assert of_time("101530.5").are_in("T101530")
    assert not of_time("000000").are_in("000000")
