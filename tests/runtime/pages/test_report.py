import base64
import re
import subprocess
import sys

import pytest

from fakes_runs import draw, make_run, started, step, tell, whole_story
from recipe_runtime.pages.__main__ import main
from recipe_runtime.pages.report import evenly
from recipe_schema.events import Aligned, Evaluated, Failed, Warned


def report(run, *more):
    target = run / "report.html"
    assert main(["report", str(run), *more]) == 0
    return target.read_text(encoding="utf-8")


def test_a_report_has_curves_data_settings_clips_and_times(tmp_path, capsys):
    run = make_run(tmp_path, description="Discs that move.", **{"train.batch_size": 2})
    tell(run, *whole_story(run))

    page = report(run)

    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    for words in ("Discs that move.", "finished", "Evaluation loss by noise level", "2.50 GB predicted", "1.25 GB"):
        assert words in page
    assert "train.batch_size" in page.partition("<details>")[0]
    assert re.search(r"<td>trained</td><td class=\"number\">4</td>", page)
    assert page.count("<svg") == 7
    clips = re.findall(r'<video src="data:video/mp4;base64,([^"]*)"', page)
    assert [base64.b64decode(clip) for clip in clips] == [
        (run / f"validation/step-0000000{number}/main.mp4").read_bytes() for number in (0, 4)
    ]
    assert "before the first step" in page


def test_a_report_asks_nothing_of_a_network(tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))

    page = report(run)

    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', page) == []
    assert "<script" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_what_a_run_says_is_text_and_no_markup(tmp_path):
    run = make_run(tmp_path, description="<script>alert(1)</script>")
    tell(run, started(name="<b>x</b>"), Warned(message="<img src=x>"))

    page = report(run)

    assert "<script" not in page
    assert "<b>x</b>" not in page
    assert "&lt;img src=x&gt;" in page


def test_a_run_that_failed_says_why(tmp_path):
    run = make_run(tmp_path)
    aligned = Aligned(step=1, loss=0.1, similarity=0.5, average_similarity=0.5, weight=0.3)
    tell(run, started(), aligned, step(1), Failed(message="the disk is full", exit_code=4))

    page = report(run)

    assert "the disk is full" in page
    assert 'class="badge failed"' in page
    assert "Similarity to the teacher" in page


def test_a_run_that_was_killed_long_ago_is_silent_and_says_how_often_it_was_begun(tmp_path):
    run = make_run(tmp_path)
    tell(run, started(), step(1))
    assert 'class="badge running"' in report(run)
    tell(run, started(), step(2))
    file = run / "events.jsonl"
    file.write_text(re.sub(r'("time": ")\d{4}', r"\g<1>2001", file.read_text()))

    page = report(run)

    assert 'class="badge silent"' in page
    assert "begun 2 times" in page


def test_of_many_steps_some_are_embedded_and_a_clip_that_is_gone_is_named(tmp_path):
    run = make_run(tmp_path)
    tell(run, started(), *(draw(run, number) for number in range(9)))
    (run / "validation/step-00000008/main.mp4").unlink()

    page = report(run, "--steps", "3")

    assert page.count("<video") == 2
    assert "Of 9 steps with clips, 3 are shown." in page
    assert "validation/step-00000008/main.mp4 is gone" in page
    assert "<video" not in report(run, "--steps", "0")


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [9]), (2, [0, 9]), (3, [0, 4, 9]), (10, list(range(10))), (99, list(range(10)))],
)
def test_steps_are_taken_evenly_with_the_first_and_the_last(count, expected):
    assert evenly(range(10), count) == expected


def test_a_run_whose_plan_is_of_another_version_is_still_reported(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    tell(run, started(), step(1))

    assert "no plan that this version reads" in report(run)


def test_the_card_of_an_exported_run_is_part_of_it(tmp_path):
    run = make_run(tmp_path)
    tell(run, started())
    assert "Model card" not in report(run)
    (run / "export").mkdir()
    (run / "export/recipe.json").write_text('{"step": 4, "weights": "model"}')

    assert "pipeline_tag: text-to-video" in report(run)
    (run / "export/recipe.json").write_text("{")
    assert "Model card" not in report(run)


@pytest.mark.parametrize(("output", "message"), [(None, "holds no events"), ("gone/x.html", "can't be written")])
def test_what_can_not_be_reported_is_told(tmp_path, capsys, output, message):
    if output is not None:
        tell(tmp_path, started())
    more = [] if output is None else ["--output", str(tmp_path / output)]

    assert main(["report", str(tmp_path), *more]) == 4
    assert message in capsys.readouterr().err


def test_pages_and_uploads_start_without_torch():
    code = (
        "import sys; import recipe_runtime.pages.__main__; import recipe_runtime.push.__main__; "
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def figure(step, dataset, weights, loss):
    return Evaluated(
        step=step, dataset=dataset, weights=weights, clips=1, loss=loss, sigmas=(0.5,), losses=(loss,), seconds=1.0
    )


def test_figures_of_different_data_sets_and_weights_are_not_compared_with_each_other(tmp_path):
    run = make_run(tmp_path)
    losses = {("clips", "model"): (3.0, 0.25), ("clips", "ema"): (3.0, 2.5), ("photos", "model"): (0.5, 0.75)}
    told = [
        figure(step, *which, loss) for which, both in losses.items() for step, loss in zip((0, 4), both, strict=True)
    ]
    tell(run, started(), *told)

    page = re.sub(r"<[^>]*>", "|", report(run))

    assert re.search(r"evaluation loss, clips[|\s]*2\.5000[|\s]*of the average, at best 2\.5000, at step 4", page)
    assert re.search(r"evaluation loss, photos[|\s]*0\.7500[|\s]*at best 0\.5000, at step 0", page)
