"""Windows of clips: where they start, what becomes of them in ledger, counts and costs, and the rules about them."""

import json
import struct
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from fakes_clips import make_clip, make_project
from fakes_machine import BARE
from fakes_masks import make_mask
from recipe_compiler.cli.explain_html import as_html
from recipe_compiler.cli.main import main
from recipe_compiler.data.course import count_windows
from recipe_compiler.data.facts import count_buckets
from recipe_compiler.data.filters import choose
from recipe_compiler.data.geometry import sample_frames
from recipe_compiler.data.windows import first_frames, in_the_middle
from recipe_compiler.passes.compare import clip_changes
from recipe_compiler.passes.estimate import latent_bytes
from recipe_compiler.passes.figures import figures
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_compiler.subject import of_recipe
from recipe_schema.family import load_family
from recipe_schema.ledger import COLUMNS, ClipRow, join_starts, ledger_digest
from recipe_schema.shares import samples_of
from recipe_schema.stored import latent_facts


FAMILY = load_family("sana-video-480p")

lengths = st.tuples(st.integers(1, 4000), st.integers(1, 200)).map(lambda pair: (max(pair), min(pair)))
limits = st.none() | st.integers(1, 50)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    for name, frames in (("a", 9), ("b", 30), ("c", 47)):
        make_clip(recipe.parent / "lengths" / f"{name}.mp4", frames=frames, caption=f"a bar, {name}")
    (recipe.parent / "lengths" / "d.mp4").write_bytes(b"no video")
    for index in range(12):
        make_clip(recipe.parent / "many" / f"{index}.mp4", frames=27 + index % 9, fps=8 + index, caption=f"bar {index}")
    return recipe


def compiled(project, *overrides, folder="lengths", more="", **video):
    keys = ", ".join(f"{key}: {value}" for key, value in {"num_frames": 9, **video}.items())
    data = f"data.datasets=[{{id: x, instance_data_dir: {folder}, {more} video: {{{keys}}}}}]"
    return compile_recipe(project, Options(overrides=[data, *overrides], must_run=True, machine=BARE))


def rows(project, *overrides, **more):
    return {row.path: row for row in compiled(project, *overrides, **more).survey.rows}


def findings(done, *codes):
    return [(d.code, d.message, d.help) for d in done.found if d.code in codes]


def starts_in_frames(row):
    return [round(start * (row.framerate or row.fps)) for start in row.starts]


@given(lengths, limits)
def test_uniform_windows_lie_inside_the_clip_apart_and_as_many_as_fit(length, most):
    available, used = length

    first = first_frames("uniform", available, used, most=most, content="x")

    assert len(first) == min(available // used, most or available)
    assert first[0] >= 0
    assert first[-1] + used <= available
    assert all(after - before >= used for before, after in pairwise(first))


@given(lengths, limits)
def test_uniform_windows_are_spread_evenly(length, most):
    """Gaps between windows differ by a frame at most, and those at both ends are half of them."""
    available, used = length

    first = first_frames("uniform", available, used, most=most, content="x")

    gaps = [after - before for before, after in pairwise(first)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert abs(first[0] - (available - first[-1] - used)) <= 1


@given(lengths, limits, st.text("0123456789abcdef", min_size=1, max_size=8))
def test_random_windows_lie_inside_the_clip_no_two_alike(length, most, content):
    available, used = length

    first = first_frames("random", available, used, most=most, content=content)

    assert len(first) == min(available - used + 1, most or available)
    assert list(first) == sorted(set(first))
    assert first[0] >= 0
    assert first[-1] + used <= available
    assert first == first_frames("random", available, used, most=most, content=content)


def test_every_place_of_a_clip_may_become_a_random_window_and_its_bytes_decide_which():
    drawn = Counter(
        place for index in range(4000) for place in first_frames("random", 28, 9, most=4, content=str(index))
    )

    assert set(drawn) == set(range(20))
    assert min(drawn.values()) > 600
    assert max(drawn.values()) < 1000


@pytest.mark.parametrize(
    ("window", "available", "most", "first"),
    [
        ("head", 47, None, (0,)),
        ("middle", 47, None, (19,)),
        ("uniform", 47, None, (0, 9, 19, 28, 37)),
        ("uniform", 47, 2, (7, 30)),
        ("uniform", 47, 1, (19,)),
        ("uniform", 17, None, (4,)),
        ("uniform", 18, None, (0, 9)),
        ("uniform", 9, None, (0,)),
        ("random", 9, 4, (0,)),
        ("random", 10, 4, (0, 1)),
    ],
)
def test_windows_of_nine_frames(window, available, most, first):
    assert first_frames(window, available, 9, most=most, content="x") == first


def test_a_file_is_one_row_whatever_its_windows(project):
    found = rows(project, window="uniform")

    assert {path: (row.fate, starts_in_frames(row)) for path, row in found.items()} == {
        "a.mp4": ("trained", [0]),
        "b.mp4": ("trained", [0, 10, 20]),
        "c.mp4": ("trained", [0, 9, 19, 28, 37]),
        "d.mp4": ("quarantined", [0]),
    }


def test_a_clip_with_one_window_is_as_if_nothing_were_asked(project):
    """So its id, latents, noise and place in the plan are those of `middle`, and of `head` for random."""
    uniform, middle = rows(project, window="uniform")["a.mp4"], rows(project, window="middle")["a.mp4"]
    random, head = rows(project, window="random")["a.mp4"], rows(project)["a.mp4"]

    assert uniform == middle
    assert random == head
    assert uniform.windows == uniform.items == (uniform,)


def test_windows_are_rows_of_their_own_name_and_start():
    row = ClipRow(dataset="x", path="a.mp4", fate="trained", repeats=1, more_starts=join_starts([1.5, 3.25]))

    assert [(window.clip_id, window.start_seconds, window.more_starts) for window in row.windows] == [
        ("x/a.mp4#1", 0.0, ""),
        ("x/a.mp4#2", 1.5, ""),
        ("x/a.mp4#3", 3.25, ""),
    ]
    assert (row.clip_id, row.items, row.samples) == ("x/a.mp4", row.windows, 6)
    drawn = replace(row, drawn=1)
    assert (drawn.items, drawn.samples, drawn.windows) == ((drawn,), 2, row.windows)
    assert "window" not in dict(COLUMNS)


def test_windows_and_how_they_are_used_shape_the_plan():
    one = ClipRow(dataset="x", path="a.mp4", fate="trained")
    two, drawn = replace(one, more_starts="[1.0]"), replace(one, more_starts="[1.0]", drawn=1)

    assert len({ledger_digest([row]) for row in (one, two, drawn, replace(two, more_starts="[2.0]"))}) == 4


def test_random_windows_follow_from_the_bytes_and_not_from_the_name_or_the_seed(project):
    other = make_clip(project.parent / "other" / "z.mp4", frames=47, caption="z")
    assert other.read_bytes() == (project.parent / "lengths" / "c.mp4").read_bytes()

    here = rows(project, "train.seed=1", window="random")["c.mp4"]
    there = rows(project, "train.seed=2", folder="other", window="random")["z.mp4"]

    assert (len(here.starts), here.drawn) == (4, 1)
    assert here.starts == there.starts
    assert len(rows(project, window="random", max_windows=7)["c.mp4"].starts) == 7


def test_frames_as_they_follow_each_other_are_cut_into_windows_too(project):
    row = rows(project, window="uniform", fps="ignore")["c.mp4"]

    assert row.framerate == 0
    assert starts_in_frames(row) == [0, 9, 19, 28, 37]


def test_shorter_clips_have_windows_of_their_own_length(project):
    """9, 30 and 47 frames: the longest whole sample, then lengths rounded down to 8 and so to 5 legal frames, or 25."""
    plain = rows(project, window="uniform", num_frames=33, min_frames=5)
    rounded = rows(
        project, window="uniform", num_frames=33, min_frames=5, frame_interval=8, bucket_strategy="resolution_frames"
    )

    assert {path: (row.bucket, len(row.starts)) for path, row in plain.items() if row.used} == {
        "a.mp4": ("96x64@9", 1),
        "b.mp4": ("96x64@29", 1),
        "c.mp4": ("96x64@33", 1),
    }
    assert {path: (row.bucket, len(row.starts)) for path, row in rounded.items() if row.used} == {
        "a.mp4": ("96x64@5", 1),
        "b.mp4": ("96x64@21", 1),
        "c.mp4": ("96x64@33", 1),
    }


@given(st.integers(1, 400), st.integers(0, 40), st.integers(1, 100), st.sampled_from(("aspect_ratio", "resolution")))
def test_a_sample_of_any_length_is_legal_and_inside_its_clip(available, wanted, interval, strategy):
    wanted = 4 * wanted + 1

    used = sample_frames(available, wanted, FAMILY, interval if strategy == "resolution" else None)

    assert 1 <= used <= min(available, wanted)
    assert used % 4 == 1


def test_a_limit_of_clips_counts_files():
    clips = [ClipRow(dataset="x", path=str(i), sha256=str(i), fate="trained", more_starts="[1.0]") for i in range(9)]

    chosen = choose(clips, 4)

    assert Counter(row.fate for row in chosen) == {"trained": 4, "filtered": 5}
    assert sum(row.samples for row in chosen if row.fate == "trained") == 8


def test_all_windows_of_a_file_are_on_one_side(project):
    apart = rows(project, "evaluation.fraction=0.5", "evaluation.step_interval=5", folder="many", window="uniform")

    assert {row.fate for row in apart.values()} == {"trained", "evaluated"}
    assert all(len(row.starts) == row.frames_at_rate // 9 for row in apart.values())


def test_a_clip_that_only_measures_has_the_window_in_the_middle(project):
    measured = ["evaluation.fraction=0.5", "evaluation.step_interval=5"]
    random = rows(project, *measured, folder="many", window="random")
    middle = rows(project, *measured, folder="many", window="middle")

    apart = [path for path, row in random.items() if row.fate == "evaluated"]
    assert apart
    assert [random[path] for path in apart] == [middle[path] for path in apart]
    assert all(row.drawn for path, row in random.items() if path not in apart)


def test_the_middle_of_frames_as_they_follow_each_other_is_counted_in_those():
    row = ClipRow(dataset="x", path="a", fate="trained", fps=25.0, frames_at_rate=47, bucket_frames=9, drawn=1)

    assert in_the_middle(replace(row, more_starts="[1.0]")) == replace(row, drawn=0, start_seconds=19 / 25)


@given(
    st.lists(st.tuples(st.integers(9, 300), st.integers(0, 3), st.sampled_from(("ab", "cd"))), min_size=1, max_size=20),
    st.sampled_from(("head", "middle", "uniform", "random")),
    limits,
)
@settings(deadline=None)
def test_samples_of_buckets_and_data_sets_are_those_of_the_rows(clips, window, most):
    found = []
    for index, (frames, repeats, dataset) in enumerate(clips):
        first, *others = first_frames(window, frames, 9, most=most, content=str(index))
        found.append(
            ClipRow(
                dataset=dataset,
                path=f"{index}.mp4",
                fate="trained",
                bucket_width=16 * (index % 3 + 1),
                bucket_height=16,
                bucket_frames=9,
                start_seconds=first / 16,
                more_starts=join_starts([frame / 16 for frame in others]),
                drawn=int(window == "random" and bool(others)),
                repeats=repeats,
            )
        )

    values = {"train.batch_size": 1}
    for index, name in enumerate(("ab", "cd")):
        values |= {f"data.datasets.{index}.id": name, f"data.datasets.{index}.train_batch_size": None}
    buckets, windows = count_buckets(tuple(found)), count_windows(values, found)

    assert sum(bucket.clips for bucket in buckets) == len(found)
    assert sum(bucket.samples for bucket in buckets) == samples_of(found).total() == sum(r.samples for r in found)
    assert {b.name: windows[b.name] for b in buckets} == Counter(w.bucket for r in found for w in r.windows)
    assert len({w.clip_id for r in found for w in r.windows}) == sum(windows.values())
    if window != "uniform":
        assert sum(bucket.samples for bucket in buckets) == sum(repeats + 1 for _, repeats, _ in clips)


def test_a_plan_counts_windows_in_its_buckets_length_and_cost(project):
    plans = {
        window: make_plan(
            compiled(project, "train.max_steps=null", "train.num_epochs=2", more="repeats: 1,", window=window)
        )
        for window in ("head", "uniform", "random")
    }

    (head,), (uniform,), (random,) = (plan.body.buckets for plan in plans.values())
    assert (head.clips, head.samples) == (random.clips, random.samples) == (3, 6)
    assert (uniform.clips, uniform.samples) == (3, 18)
    assert [plan.body.schedule.max_steps for plan in plans.values()] == [12, 36, 12]
    assert [plan.meta["windows"] for plan in plans.values()] == [{"96x64@9": n} for n in (3, 9, 9)]
    for plan, windows in zip(plans.values(), (3, 9, 9), strict=True):
        assert plan.meta["estimate"]["latents_gb"] == pytest.approx(
            windows * latent_bytes(FAMILY, head, None) / 1e9, rel=1e-3
        )
        assert plan.meta["clips"] == {"trained": 3, "quarantined": 1}
    assert len({plan.body.ledger_digest for plan in plans.values()}) == 3


def test_figures_count_windows_and_the_frames_that_they_take(project):
    done = compiled(project, window="uniform", max_windows=2)
    counted = figures(make_plan(done), done.survey.rows, FAMILY)

    assert [(bucket.clips, bucket.windows) for bucket in counted.buckets] == [(3, 5)]
    (unused,) = [group for group in counted.notable if group.what == "mostly unused"]
    assert unused.worst == (("x/c.mp4", "18 of 47 frames are used"),)


def test_windows_that_overlap_use_each_frame_once(project):
    row = replace(rows(project)["c.mp4"], more_starts=join_starts([4 / 16, 6 / 16]))
    done = compiled(project)

    counted = figures(make_plan(done), [row], FAMILY)

    assert [group.worst for group in counted.notable] == [(("x/c.mp4", "15 of 47 frames are used"),)]


def told(project, capsys, *arguments, window="uniform", status=0):
    data = f"data.datasets=[{{id: x, instance_data_dir: lengths, video: {{num_frames: 9, window: {window}}}}}]"
    assert main(["explain", str(project), "--set", data, *arguments]) == status
    return capsys.readouterr().out


def test_explain_tells_of_windows_in_its_totals(project, capsys):
    out = told(project, capsys)

    assert "4 found: 3 trained, 1 quarantined" in out
    assert "3 clips in 9 windows, 9 samples an epoch, 9 steps" in out


def test_explain_tells_of_the_windows_of_a_clip(project, capsys):
    uniform = told(project, capsys, "--clip", "x/c.mp4#3")
    random = told(project, capsys, "--clip", "c.mp4", window="random")

    assert "in 5 windows, each a sample of its own, from 0, 0.5625, 1.1875, 1.75, 2.3125 s" in uniform
    assert "repeats  0: each window is seen once an epoch" in uniform
    assert "in 4 windows, of which each sample has one, from " in random
    assert "repeats  0: seen once an epoch" in random
    assert "#9" not in told(project, capsys, "--clip", "nothing.mp4#9", status=2)


def test_explain_names_the_first_of_many_windows(project, capsys):
    data = "data.datasets=[{id: x, instance_data_dir: lengths, video: {num_frames: 1, window: uniform}}]"
    assert main(["explain", str(project), "--set", data, "--clip", "c.mp4"]) == 0

    assert "from 0, 0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375, 0.4375 s and 39 more" in capsys.readouterr().out


def test_a_page_tells_of_windows(project):
    assert "3 clips in 9 windows" in as_html(of_recipe(compiled(project, window="uniform")), (), ())


def write_value(store, facts, name):
    path = store / "latents" / name / f"{name * 32}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": facts}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_explain_says_how_many_windows_the_store_has(project, capsys):
    store = project.parent / "store"
    more = ["--clip", "b.mp4", "--set", f"data.store_dir={store}"]
    row = rows(project, window="uniform")["b.mp4"]
    facts = [latent_facts(window, dtype="fp32", tiling=False) for window in row.windows]
    assert [fact["clip"] for fact in facts] == ["x/b.mp4#1", "x/b.mp4#2", "x/b.mp4#3"]
    assert "latents  not in the store yet" in told(project, capsys, *more)

    write_value(store, {**facts[0], "frames": "5"}, "aa")
    assert "latents  encoded anew because frames was 5 and is 9" in told(project, capsys, *more)

    write_value(store, facts[1], "bb")
    assert "latents  1 of 3 windows are in the store" in told(project, capsys, *more)
    found = json.loads(told(project, capsys, *more, "--format", "json"))["clips"][0]["store"]["latents"]
    assert found == {"there": False, "differs": {}, "windows": {"there": 1, "of": 3}}

    write_value(store, facts[0], "cc")
    write_value(store, facts[2], "dd")
    assert "latents  in the store, for as long as" in told(project, capsys, *more)


def test_another_choice_of_windows_is_another_place(project):
    four, two = (list(rows(project, window="random", max_windows=most).values()) for most in (4, 2))

    assert clip_changes(four, two) == {"place": ("x/b.mp4: window or crop", "x/c.mp4: window or crop")}


def test_a_video_of_masks_has_to_last_to_the_end_of_the_last_window(project):
    folder = project.parent / "moving-masks"
    make_clip(folder / "c.mp4", frames=40)
    make_mask(folder / "b.png")
    masks = "{id: m, instance_data_dir: moving-masks, dataset_type: conditioning, conditioning_type: mask}"
    clips = "{id: x, instance_data_dir: lengths, conditioning_data: m, video: {num_frames: 9, window: uniform}}"
    overrides = [f"data.datasets=[{clips}, {masks}]", "regularizers.masked_loss.enabled=true"]

    done = compile_recipe(project, Options(overrides=overrides, machine=BARE))

    (reason,) = [mask.reason for found in done.survey.masks for mask in found.unfit if mask.path == "c.mp4"]
    assert reason == "it ends after 40 frames where the sample of its clip ends with frame 46"
    assert [bool(row.mask_sha256) for row in done.survey.rows] == [False, True, False, False]


def test_windows_help_to_fill_a_step_and_are_counted_in_what_is_asked_for(project):
    def said(step):
        done = compiled(project, f"train.gradient_accumulation_steps={step}", window="uniform")
        return findings(done, "R303")

    assert said(9) == []
    (found,) = said(10)
    assert "has 9 samples (3 clips with windows and repeats), and a step needs 10" in found[1]
    assert found[2].startswith("set `repeats: 1` for data set `x`")


def test_windows_help_a_data_set_over_a_batch_of_the_vae(project):
    def said(size):
        return findings(compiled(project, f"data.vae_batch_size={size}", window="uniform"), "R304")

    assert said(8) == []
    (found,) = said(9)
    assert "has 9 samples (3 clips with windows and repeats, " in found[1]
    assert "set `repeats: 1`" in found[2]


def test_limits_without_room_for_two_windows_are_named_with_what_they_need(project):
    (uniform,) = findings(compiled(project, window="uniform", max_frames=17), "R335", "R338")
    (random,) = findings(compiled(project, window="random", max_frames=9), "R335", "R338")

    assert uniform[:2] == (
        "R335",
        "`max_frames` is 17, and `window: uniform` has something to choose from 18 frames on",
    )
    assert random[:2] == ("R335", "`max_frames` is 9, and `window: random` has something to choose from 10 frames on")


@pytest.mark.parametrize(
    ("window", "instead"), [("uniform", "`window: middle`"), ("random", "`window: head` or `middle`")]
)
def test_one_window_of_several_is_named(project, window, instead):
    (found,) = findings(compiled(project, window=window, max_windows=1), "R335", "R336", "R338", "R339")

    assert found == (
        "R335",
        f"`max_windows` is 1, and `window: {window}` is there to have several",
        f"raise it, leave it out, or take {instead}",
    )


def test_clips_of_one_window_are_named_with_the_longest(project):
    (uniform,) = findings(compiled(project, window="uniform", num_frames=25), "R338")

    assert uniform[1] == (
        "no clip of data set `x` has more than one window: the longest, c.mp4, has 47 frames, and `window: uniform` "
        "needs 50"
    )


def test_clips_as_long_as_a_window_leave_nothing_to_draw(project):
    make_clip(project.parent / "same" / "a.mp4", frames=9, caption="a")
    make_clip(project.parent / "same" / "b.mp4", frames=9, size=(64, 48), caption="b")

    (found,) = findings(compiled(project, window="random", folder="same"), "R338")
    measured = compiled(project, window="random", folder="same", more="dataset_type: eval,")

    assert "the longest, b.mp4, has 9 frames, and `window: random` needs 10" in found[1]
    assert findings(measured, "R338") == []
    assert [code for code, _, _ in findings(measured, "R337")] == ["R337"]


def test_windows_that_training_never_sees_are_named_with_a_number_that_it_does(project):
    def said(*overrides, **video):
        return findings(compiled(project, *overrides, window="random", **video), "R339")

    assert said("train.max_steps=12") == []
    (found,) = said("train.max_steps=8")
    assert found[1] == ("up to 4 windows of each clip of data set `x` are encoded, and training sees a clip 2.67 times")
    assert found[2] == "set `max_windows: 3`, or train longer"
    assert said("train.max_steps=8", max_windows=3) == []
    assert said("train.max_steps=null", "train.num_epochs=2", more="repeats: 1,") == []
    (half,) = said("train.max_steps=null", "train.num_epochs=2", more="probability: 0.5,")
    assert half[2] == "take `window: middle`, or train longer"
    assert said("train.max_steps=null", "train.num_epochs=4") == []
    assert said("train.max_steps=null") == []


def test_an_interval_to_which_no_clip_is_rounded_is_named(project):
    def said(**video):
        return findings(compiled(project, bucket_strategy="resolution_frames", num_frames=33, **video), "R325")

    assert said(frame_interval=8, min_frames=5) == said(min_frames=33) == []
    (found,) = said(frame_interval=33, min_frames=5)
    assert "only clips of fewer than 33 frames are rounded to it" in found[1]
    (derived,), (given_,) = said(frame_interval=8), said(frame_interval=8, min_frames=33)
    assert derived == given_
    assert found[1] != given_[1] == "`frame_interval` rounds clips of fewer than 33 frames, and `min_frames` is 33"
