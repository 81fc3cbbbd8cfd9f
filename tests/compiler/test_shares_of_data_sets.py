import pytest

from fakes_clips import make_project
from recipe_compiler.cli.figures_text import figures_text
from recipe_compiler.cli.main import main
from recipe_compiler.passes.lower import lower
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_compiler.subject import of_recipe


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def body(project, datasets, *overrides):
    compiled = compile_recipe(project, Options(overrides=[f"data.datasets=[{datasets}]", *overrides]))
    assert compiled.ok, compiled.found
    return lower(compiled.settings, compiled.survey)


SHORT = "instance_data_dir: {}, video: {{num_frames: 9}}"
ONE = f"{{id: a, {SHORT.format('clips')}, repeats: 4, probability: 0.3}}"
TWO = f"{{id: a, {SHORT.format('clips')}, repeats: 9}}, {{id: b, {SHORT.format('repeated')}}}"


def test_an_epoch_is_as_long_as_the_share_says(project):
    planned = body(project, ONE.replace("0.3", "0.25"), "train.max_steps=null", "train.num_epochs=3")

    assert planned.schedule.samples_per_epoch == 5
    assert planned.schedule.max_steps == 15
    assert [(bucket.clips, bucket.samples) for bucket in planned.buckets] == [(4, 5)]


def test_what_makes_no_whole_sample_is_carried_into_the_next_epoch(project):
    datasets = ONE.replace("0.3", "0.33")

    planned = [body(project, datasets, "train.max_steps=null", f"train.num_epochs={n}") for n in (1, 2, 3, 100)]

    assert [plan.schedule.max_steps for plan in planned] == [6, 13, 19, 660]
    assert planned[0].schedule.samples_per_epoch == 6.6


def test_uniform_data_sets_give_as_many_samples_as_the_smallest(project):
    by_number = body(project, TWO)
    alike = body(project, TWO, "data.sampling=uniform")

    assert [bucket.samples for bucket in by_number.buckets] == [43]
    assert [bucket.samples for bucket in alike.buckets] == [6]
    assert alike.stages[-2].key != by_number.stages[-2].key


def test_without_shares_all_counts_are_whole(project):
    planned = body(project, TWO)

    assert {type(bucket.samples) for bucket in planned.buckets} == {int}
    assert type(planned.schedule.samples_per_epoch) is int


def test_figures_show_means(project):
    override = f"data.datasets=[{ONE.replace('0.3', '0.333')}]"
    compiled = compile_recipe(project, Options(overrides=[override]))
    assert make_plan(compiled).body.schedule.samples_per_epoch == 6.66

    shown = "\n".join(figures_text(of_recipe(compiled)))

    assert "epoch      6.66 samples, 6.66 steps" in shown
    assert "4 clips, 6.66 samples an epoch, 6.66 steps" in shown


def test_a_clip_is_told_how_often_it_is_seen(project, capsys):
    arguments = ["explain", str(project), "--clip", "c0.mp4"]

    main([*arguments, "--set", f"data.datasets=[{ONE}]"])
    main([*arguments, "--set", f"data.datasets=[{TWO}]"])

    told = capsys.readouterr().out
    assert "repeats  4: seen 1.5 times an epoch in the mean\n" in told
    assert "repeats  9: seen 10 times an epoch\n" in told


def test_means_are_shown_with_two_digits_in_all_places(project, tmp_path, capsys):
    (planned, other) = (tmp_path / name for name in ("one.plan", "two.plan"))
    uneven = f"data.datasets=[{TWO.replace('repeats: 9', 'repeats: 0, probability: 0.333')}]"

    main(["plan", str(project), "--set", uneven, "-o", str(planned)])
    main(["plan", str(project), "--set", f"data.datasets=[{TWO}]", "-o", str(other)])
    main(["diff", str(planned), str(other)])
    main(["explain", str(planned), "--format", "html"])

    told = capsys.readouterr().out
    assert "4.33 samples an epoch" in told
    assert "samples an epoch: 4.33 → 43" in told
    assert ">4.33</td>" in told
