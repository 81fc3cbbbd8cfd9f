import pytest

from recipe_schema.section import is_section, keys_of
from recipe_schema.sections.model import Model
from recipe_schema.sections.optimizer import Ema


VALUES = {
    "enabled": True,
    "decay": 0.9,
    "update_interval": 1,
    "warmup_steps": 0,
    "warmup": "none",
    "device": "cpu",
    "validation": "none",
}


def test_a_section_holds_what_it_was_given():
    ema = Ema(**VALUES)

    assert (ema.enabled, ema.decay) == (True, 0.9)
    assert ema == Ema(**VALUES)
    assert hash(ema) == hash(Ema(**VALUES))
    assert ema != Ema(**{**VALUES, "decay": 0.5})
    assert repr(ema).startswith("Ema(enabled=True, decay=0.9, update_interval=1, ")


def test_a_section_takes_exactly_its_keys():
    with pytest.raises(TypeError, match="decay"):
        Ema(**{name: value for name, value in VALUES.items() if name != "decay"})
    with pytest.raises(TypeError, match="dekay"):
        Ema(**VALUES, dekay=1)


def test_a_section_is_frozen():
    ema = Ema(**VALUES)

    with pytest.raises(AttributeError, match="frozen"):
        ema.decay = 0.5
    with pytest.raises(AttributeError, match="frozen"):
        del ema.decay


def test_sections_know_their_keys():
    assert list(keys_of(Ema)) == list(VALUES)
    assert is_section(Model)
    assert not is_section(str)
    assert not is_section("Model")
