from fakes_clips import make_project
from recipe_compiler.pipeline import Options, compile_recipe


def test_dora_of_quantized_weights_names_both_sides(tmp_path):
    overrides = ("model.type=lora", "model.base_model_precision=int4-quanto", "model.lora.use_dora=true")

    compiled = compile_recipe(make_project(tmp_path), Options(overrides=overrides, must_run=True))

    (found,) = compiled.found
    assert (found.code, found.severity) == ("R217", "error")
    assert "`base_model_precision: int4-quanto` quantizes" in found.message
    assert "`base_model_precision: no_change`" in found.help
