import pytest

from alphallm_env.lm.device import resolved_device, resolved_dtype


def test_auto_is_what_the_device_multiplies_and_names_stay():
    assert resolved_device("cpu") == "cpu"
    assert resolved_dtype("auto", "cpu") == "float32"
    assert resolved_dtype("auto", "cuda") == "auto"
    assert resolved_dtype("bfloat16", "cpu") == "bfloat16"


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"device must be auto, cpu, .* got 'gpu'"):
        resolved_device("gpu")
    with pytest.raises(ValueError, match=r"dtype must be one of auto, float32, bfloat16, float16, got 'fp8'"):
        resolved_dtype("fp8", "cpu")
