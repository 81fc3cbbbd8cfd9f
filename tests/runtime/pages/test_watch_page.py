"""The page in a browser: a run that is going on, its clips, and two runs beside each other."""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fakes_runs import draw, evaluated, make_run, planned, started, step, tell, whole_story
from recipe_runtime.pages.__main__ import main
from recipe_runtime.pages.server import WatchServer
from recipe_schema.events import ClipPreviewed, Failed, Resumed, Warned


playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no browser to drive"),
    # Of the browser's pipes, which playwright closes late.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WAIT = 30_000


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()
    assert page.faults == []


@contextlib.contextmanager
def watching(page, *folders):
    server = WatchServer(folders, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        page.goto(server.address)
        yield server
        assert all(address.startswith((server.address, "data:")) for address in page.asked)
    finally:
        page.goto("about:blank")
        server.shutdown()
        server.close()
        thread.join()


def until(page, condition, seconds=WAIT / 1000):
    """Wait until a condition holds. The page's own policy forbids what playwright waits with."""
    last = time.monotonic() + seconds
    while not page.evaluate(f"(() => {{ try {{ return {condition} }} catch {{ return false }} }})()"):
        assert time.monotonic() < last, condition
        page.wait_for_timeout(50)


POINTS = "Number(document.querySelector('[data-chart=\"Loss\"]').dataset.points)"


def play(page, selector):
    """Return how far a clip got within a while."""
    page.locator(selector).first.scroll_into_view_if_needed(timeout=WAIT)
    until(page, f"document.querySelector({selector!r}).currentTime > 0.1")
    return page.evaluate(f"document.querySelector({selector!r}).videoWidth")


def begun(folder, **more):
    """Start a run of forty steps, with clips before the first one and at 20 and 40."""
    looks = {"validation.step_interval": 20, "validation.on_startup": True, "validation.preview.enabled": True}
    project = planned(folder, max_steps=40, **looks, **{"checkpoints.step_interval": 20}, **more)
    project.run_dir.mkdir(parents=True)
    command = [sys.executable, "-m", "recipe_runtime", str(project.plan_dir), "--run-dir", str(project.run_dir)]
    return project.run_dir, subprocess.Popen([*command, "--quiet"])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_runs_are_followed_while_they_go_on_and_one_is_kept_as_a_report(page, tmp_path):
    first, one = begun(tmp_path / "a")
    second, other = begun(tmp_path / "b", **{"optimizer.learning_rate": 3e-3})
    with one, other, watching(page, first, second):
        until(page, f"{POINTS} > 1", 120)  # two processes have to load torch and models first
        before = page.evaluate(POINTS)
        until(page, f"{POINTS} > {before}", 60)
        until(page, "document.querySelectorAll('.run[data-state=finished]').length === 2", 120)
        assert page.evaluate(POINTS) == 40
        assert page.locator('[data-chart="Loss"] .line:not(.faint)').count() == 2
        assert play(page, "#gallery video") == 96
        page.locator("#step").fill("1")
        until(page, "document.querySelectorAll('#gallery figcaption')[1].innerText === 'test, step 20'")
        page.locator("#against").select_option("0")
        until(page, "document.querySelectorAll('#gallery video').length === 4")
        page.locator("#sheets").check()
        until(page, "[...document.querySelectorAll('#gallery img')].filter((i) => i.naturalWidth).length === 4")
        assert "optimizer.learning_rate" in page.locator("#settings").inner_text()
        assert (one.wait(timeout=60), other.wait(timeout=60)) == (0, 0)
    assert main(["report", str(first)]) == 0
    page.context.set_offline(True)
    page.goto(f"file://{first / 'report.html'}")
    assert play(page, "video") == 96
    assert "step 40" in page.locator(".gallery").inner_text()
    page.context.set_offline(False)


def test_new_steps_lengthen_the_curve_and_a_resumed_run_drops_what_is_void(page, tmp_path):
    run = make_run(tmp_path)
    with watching(page, run):
        until(page, "document.querySelector('.run').dataset.state === 'waiting'")
        assert page.locator("#curves").is_hidden()
        tell(run, started(), step(1), step(2), step(3))
        until(page, f"{POINTS} === 3")
        assert "3 / 4" in page.locator(".run").inner_text()
        tell(run, started(), Resumed(step=1, path="x"), step(2))
        until(page, f"{POINTS} === 2")
        tell(run, Failed(message="the disk is full", exit_code=4))
        until(page, "document.querySelector('.run').dataset.state === 'failed'")
        assert "the disk is full" in page.locator("#told").inner_text()


def test_the_slider_goes_through_the_steps_of_a_prompt(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    with watching(page, run):
        until(page, "document.querySelectorAll('#gallery video').length === 1")
        caption = page.locator("#gallery figcaption")
        assert caption.inner_text() == "step 4"
        page.locator("#step").fill("0")
        until(page, "document.querySelector('#gallery figcaption').innerText === 'before training'")
        assert play(page, "#gallery video") == 96
        page.locator("#against").select_option("0")
        page.locator("#step").fill("1")
        until(page, "document.querySelectorAll('#gallery video').length === 2")
        assert page.locator("#gallery figcaption").all_inner_texts() == ["before training", "step 4"]
        tell(run, draw(run, 5))
        until(page, "document.querySelectorAll('#against option').length === 4")
        assert page.locator("#against").input_value() == "0"  # a new step does not undo the choice
        page.locator("#against").select_option("4")
        page.locator("#step").fill("2")
        until(page, "document.querySelectorAll('#gallery figcaption')[1].innerText === 'step 5'")
        assert page.locator("#gallery figcaption").all_inner_texts() == ["step 4", "step 5"]
        page.locator("#follow").check()
        until(page, "[...document.querySelectorAll('#gallery figcaption')].pop().innerText === 'step 5'")


def test_steps_stand_side_by_side_the_first_and_the_last_among_them(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, started(), *(draw(run, number) for number in range(10)))
    with watching(page, run):
        page.locator("#all").check(timeout=WAIT)
        until(page, "document.querySelectorAll('#gallery video').length === 8")
        captions = page.locator("#gallery figcaption").all_inner_texts()
        assert (captions[0], captions[1], captions[-1]) == ("before training", "step 1", "step 9")


def test_clips_of_a_resumed_run_come_back_when_it_gets_to_them_again(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, started(), draw(run, 0), step(1), step(2), step(3), step(4), draw(run, 4))
    with watching(page, run):
        until(page, "document.querySelector('#gallery figcaption').innerText === 'step 4'")
        tell(run, started(), Resumed(step=2, path="x"), step(3))
        until(page, "document.querySelector('#gallery figcaption').innerText === 'before training'")
        tell(run, step(4))  # its clip is there and not drawn again
        until(page, "document.querySelector('#gallery figcaption').innerText === 'step 4'")


def test_contact_sheets_stand_for_clips_and_one_picture_for_all_steps(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    loaded = "[...document.querySelectorAll('#gallery img')].map((i) => i.complete && i.naturalWidth)"
    with watching(page, run):
        page.locator("#sheets").check(timeout=WAIT)
        until(page, f"JSON.stringify({loaded}) === '[{8 * 96 + 7 * 4}]'")
        assert page.locator("#gallery video").count() == 0
        page.locator("#all").check()
        until(page, f"JSON.stringify({loaded}) === '[{104 + 8 * 96 + 7 * 4}]'")
        assert page.locator("#gallery figcaption").inner_text() == "steps 0, 4"


def test_a_clip_goes_on_playing_when_something_else_happens(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    with watching(page, run):
        until(page, "document.querySelectorAll('#gallery video').length === 1")
        page.evaluate("document.querySelector('#gallery video').id = 'same'")
        tell(run, started(), step(5))
        until(page, f"{POINTS} === 5")
        assert page.locator("#same").count() == 1


def test_a_preview_is_shown_until_its_clip_is_drawn(page, tmp_path):
    run = make_run(tmp_path)
    there = draw(run, 9, "main-002")
    shown = {"step": 1, "nickname": "main", "weights": "model", "sampling_step": 2, "sampling_steps": 8}
    preview = ClipPreviewed(path=there.path, clip="validation/step-00000001/main.mp4", **shown)
    with watching(page, run):
        tell(run, started(), step(1), preview)
        until(page, "document.querySelectorAll('#preview-tiles video').length === 1")
        assert "after 2 of 8 sampling steps" in page.locator("#preview-tiles").inner_text()
        tell(run, draw(run, 1))
        until(page, "document.querySelector('#previews').hidden")


def test_two_runs_stand_beside_each_other(page, tmp_path):
    runs = [make_run(tmp_path / name, **{"optimizer.learning_rate": rate}) for name, rate in (("a", 1e-3), ("b", 3e-3))]
    for run in runs:
        tell(run, *whole_story(run))
    with watching(page, *runs):
        until(page, "document.querySelectorAll('#gallery video').length === 2")
        assert page.locator(".run").count() == 2
        assert page.locator('[data-chart="Loss"] .line:not(.faint)').count() == 2
        page.locator("#against").select_option("0")  # two steps of two runs
        until(page, "document.querySelectorAll('#gallery video').length === 4")
        assert page.locator("#gallery figcaption").all_inner_texts() == [
            f"{Path(run).name}, {when}" for run in runs for when in ("before training", "step 4")
        ]
        settings = page.locator("#settings").inner_text()
        assert "optimizer.learning_rate" in settings
        assert "0.003" in settings
        assert "train.batch_size" not in settings


def test_curves_are_zoomed_smoothed_and_drawn_logarithmically(page, tmp_path):
    run = make_run(tmp_path, max_steps=40)
    tell(run, *whole_story(run, 40))
    with watching(page, run):
        until(page, f"{POINTS} === 40")
        line = page.locator('[data-chart="Loss"] .line').last
        before = line.get_attribute("d")
        page.locator("#smooth").fill("0.5")
        until(
            page,
            f"document.querySelector('#smooth-value').textContent === '0.50' && [...document.querySelectorAll('[data-chart=\"Loss\"] .line')].pop().getAttribute('d') !== {before!r}",
        )
        smooth = line.get_attribute("d")
        page.locator("#log").check()
        until(
            page,
            f"[...document.querySelectorAll('[data-chart=\"Loss\"] .line')].pop().getAttribute('d') !== {smooth!r}",
        )
        box = page.locator('[data-chart="Loss"] .chart').bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.4, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=4)
        page.mouse.up()
        until(page, f"{POINTS} < 20")
        assert 3 < page.evaluate("Number(document.querySelector('[data-chart=\"Learning rate\"]').dataset.points)") < 20
        page.mouse.move(box["x"] + box["width"] * 0.5, y)
        until(page, "!document.querySelector('[data-chart=\"Loss\"] .tip').hidden")
        page.locator("#unzoom").click()
        until(page, f"{POINTS} === 40")


def test_what_a_run_says_is_text_and_no_markup(page, tmp_path):
    run = make_run(tmp_path, name="<img src=x onerror=alert(1)>")
    tell(run, started(), Warned(message="<script>alert(1)</script><b>bold</b>"), evaluated(1, 1.0, 2.0))
    with watching(page, run):
        until(page, "!document.querySelector('#told').hidden")
        assert "<script>alert(1)</script>" in page.locator("#told").inner_text()
        assert page.locator("#told b, .run img").count() == 0


def test_a_page_whose_server_is_gone_says_so(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, started())
    with watching(page, run) as server:
        until(page, "document.querySelector('#link').textContent === 'following'")
        server.shutdown()
        server.close()
        until(page, "document.querySelector('#link').textContent.includes('the server is gone')")
        page.faults.clear()


def test_a_report_plays_its_clips_from_a_file_with_the_network_off(page, tmp_path):
    run = make_run(tmp_path)
    tell(run, *whole_story(run))
    assert main(["report", str(run)]) == 0

    page.context.set_offline(True)
    page.goto(f"file://{run / 'report.html'}")

    assert play(page, "video") == 96
    assert page.locator("svg").count() == 7
    page.locator("summary", has_text="frames across").click()
    widths = page.evaluate("[...document.querySelectorAll('img')].map((one) => one.naturalWidth)")
    assert widths == [796, 796, 900]
    assert [address for address in page.asked if not address.startswith(("file:", "data:"))] == []
