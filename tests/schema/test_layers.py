import pytest

from recipe_schema.layers import is_target


@pytest.mark.parametrize(
    ("entry", "layer", "is_meant"),
    [
        ("to_q", "transformer_blocks.0.attn1.to_q", True),
        ("attn1.to_q", "transformer_blocks.0.attn1.to_q", True),
        ("proj_out", "proj_out", True),
        ("transformer_blocks.*.attn1.to_q", "transformer_blocks.13.attn1.to_q", True),
        ("*", "proj_out", True),
        ("block*to_q", "transformer_blocks.0.attn1.to_q", False),
        ("transformer_block*to_q", "transformer_blocks.0.attn1.to_q", True),
        ("o_q", "transformer_blocks.0.attn1.to_q", False),
        ("to", "transformer_blocks.0.attn1.to_q", False),
        ("attn1", "transformer_blocks.0.attn1.to_q", False),
        ("attn.\\.to_q", "transformer_blocks.0.attn1.to_q", False),
        ("to_out.0", "transformer_blocks.0.attn1.to_out.0", True),
        ("to_out.0", "transformer_blocks.0.attn1.to_out-0", False),
    ],
)
def test_a_target_is_a_name_or_its_end_from_a_dot_on(entry, layer, is_meant):
    assert is_target(entry, layer) is is_meant
