import re

import pytest

from alphallm_env.registry import Registry


def whole(found: object) -> int:
    found = found() if isinstance(found, type) else found
    if not isinstance(found, int):
        raise TypeError(f"expected a whole number, got {type(found).__name__}")
    return found


@pytest.fixture
def numbers() -> Registry[int]:
    return Registry("number", {"one": 1, "far": "sys:maxsize"}, whole, families={"hex": lambda text: int(text, 16)})


def test_a_name_gives_what_was_registered(numbers):
    assert numbers.resolve("one") == 1
    numbers.register("two", 2)
    assert numbers.resolve("two") == 2
    assert list(numbers) == ["one", "far", "two"]


def test_a_reference_is_loaded_when_it_is_asked_for(numbers):
    import sys

    assert numbers.resolve("far") == sys.maxsize


def test_a_family_takes_the_text_after_the_colon(numbers):
    assert numbers.resolve("hex:ff") == 255


def test_any_module_may_hold_a_part(numbers):
    assert numbers.resolve("stat:S_ISUID") == 0o4000
    assert numbers.resolve("builtins:int") == 0  # a class is called


@pytest.mark.parametrize("name", ["", "three", "no_such_module_here:x", "sys:no_such_attribute", "sys:platform"])
def test_a_wrong_name_lists_the_right_ones(numbers, name):
    with pytest.raises(ValueError, match=re.escape("number must be one of one, far, hex:…, module:attribute, got")):
        numbers.resolve(name)


def test_a_module_beside_the_program_is_found(numbers, tmp_path, monkeypatch):
    (tmp_path / "my_numbers_of_this_test.py").write_text("class Box:\n    inner = 41\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    assert numbers.resolve("my_numbers_of_this_test:Box.inner") == 41


@pytest.mark.parametrize("name", ["one", "hex", "", "a:b"])
def test_a_name_that_is_taken_or_none_is_refused(numbers, name):
    with pytest.raises(ValueError, match="name"):
        numbers.register(name, 3)


def test_a_part_tells_its_name(numbers):
    assert numbers.name_of(1) == "one"
    assert numbers.name_of(7) is None
