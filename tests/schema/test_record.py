from collections.abc import Mapping
from typing import Any

import pytest

from recipe_schema.record import record, replace


@record
class Thing:
    name: str
    parts: tuple[str, ...] = ()
    more: Any = None


def test_a_record_holds_what_it_was_given_and_its_defaults():
    thing = Thing(name="a", more=1)

    assert (thing.name, thing.parts, thing.more) == ("a", (), 1)
    assert repr(thing) == "Thing(name='a', parts=(), more=1)"


def test_a_function_as_default_stays_a_function():
    @record
    class Job:
        report: Any = len

    assert Job().report("abc") == 3


def test_a_record_takes_exactly_its_fields():
    with pytest.raises(TypeError, match="missing or unknown: name"):
        Thing(more=1)
    with pytest.raises(TypeError, match="missing or unknown: nane"):
        Thing(name="a", nane="b")
    with pytest.raises(TypeError):
        Thing("a")


def test_a_record_is_frozen():
    thing = Thing(name="a")

    for name in ("name", "parts", "unknown"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(thing, name, "b")
    with pytest.raises(AttributeError, match="frozen"):
        del thing.name


def test_records_are_compared_by_class_and_value():
    @record
    class Other:
        name: str
        parts: tuple[str, ...] = ()
        more: Any = None

    assert Thing(name="a") == Thing(more=None, name="a")
    assert hash(Thing(name="a", more=1)) == hash(Thing(more=1, name="a"))
    assert Thing(name="a") != Thing(name="b")
    assert Thing(name="a") != Other(name="a")
    assert Thing(name="a") != ("a", (), None)
    assert len({Thing(name="a"), Thing(name="a"), Other(name="a")}) == 2


def test_a_record_that_holds_a_mapping_has_no_hash():
    @record
    class Table:
        rows: Mapping[str, int]

    assert Table(rows={"a": 1}) == Table(rows={"a": 1})
    with pytest.raises(TypeError, match="unhashable"):
        hash(Table(rows={}))


def test_what_a_record_computed_of_itself_is_none_of_its_fields():
    from functools import cached_property

    @record
    class Sum:
        terms: tuple[int, ...]

        @cached_property
        def total(self):
            return sum(self.terms)

    one = Sum(terms=(1, 2))

    assert one.total == 3
    assert one == Sum(terms=(1, 2))
    assert replace(one, terms=(4,)).total == 4


def test_replace_changes_some_fields_and_leaves_the_record_as_it_is():
    old = Thing(name="a", more=1)

    assert replace(old, name="b") == Thing(name="b", more=1)
    assert old.name == "a"
    with pytest.raises(TypeError, match="nane"):
        replace(old, nane="b")
