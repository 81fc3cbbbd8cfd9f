import threading
import time

import pytest

from fakes_server import Answer, serving
from recipe_runtime.watch.delivery import Delivery, Message
from recipe_runtime.watch.post import HttpPost, Problem, Request


QUICK = {"pause_seconds": 0.001}


def message(text, *, level="info", progress=False):
    request = Request(body=text.encode(), content_type="text/plain")
    return Message(level=level, progress=progress, build=lambda: request)


def post_to(server, **changes):
    return HttpPost(f"{server.url}/hook", **{"token": None, "ssl_verify": True, **changes})


def deliver(post, messages, *, seconds=20.0, **options):
    """Send messages and return what was reported."""
    reports = []
    delivery = Delivery(post, reports.append, **{**QUICK, **options})
    for one in messages:
        delivery.offer(one)
    delivery.stop(seconds)
    delivery.join()
    return reports


def bodies(server):
    return [heard.body.decode() for heard in server.heard]


def test_messages_arrive_in_order():
    with serving() as server:
        reports = deliver(post_to(server), [message(str(number)) for number in range(20)])

    assert bodies(server) == [str(number) for number in range(20)]
    assert reports == []


def test_the_token_goes_into_a_header_and_nowhere_else():
    with serving() as server:
        deliver(post_to(server, token="s3cret"), [message("x")])

    assert server.heard[0].headers["x-api-key"] == "s3cret"
    assert server.heard[0].headers["content-type"] == "text/plain"
    assert (server.heard[0].method, server.heard[0].path) == ("POST", "/hook")


@pytest.mark.parametrize(("status", "told"), [(500, "trouble of its own (500)"), (0, "can't be reached (RemoteDisc")])
def test_a_message_is_sent_again_until_it_is_taken_and_the_problem_is_told_once(status, told):
    answers = [Answer(status=status)] * 2 + [Answer()] + [Answer(status=status)] + [Answer()]
    with serving(lambda _: answers.pop(0)) as server:
        reports = deliver(post_to(server), [message("a"), message("b")])

    assert bodies(server) == ["a", "a", "a", "b", "b"]
    assert len(reports) == 1
    assert told in reports[0]


def test_one_that_is_never_taken_makes_way_for_the_next():
    with serving(lambda heard: Answer(status=503 if heard.body == b"poison" else 200)) as server:
        reports = deliver(post_to(server), [message("poison"), message("b")])

    assert bodies(server) == ["poison"] * 5 + ["b"]
    assert reports == ["has trouble of its own (503)", "did not take 1 messages"]


def test_a_refusal_is_not_tried_again_and_names_what_to_check():
    with serving(lambda heard: Answer(status=404 if heard.body == b"a" else 200)) as server:
        reports = deliver(post_to(server), [message("a"), message("b")])

    assert bodies(server) == ["a", "b"]
    assert reports == ["refuses messages (404); check address and token", "did not take 1 messages"]


def test_a_redirect_is_a_refusal():
    with serving() as other, serving(lambda _: Answer(status=307, headers={"Location": other.url})) as server:
        reports = deliver(post_to(server, token="s3cret"), [message("a")])

    assert other.heard == []
    assert "refuses messages (307)" in reports[0]


def test_who_asks_for_patience_gets_it():
    times = []
    answers = [Answer(status=429, headers={"Retry-After": "0.3"}), Answer()]

    def answer(_):
        times.append(time.monotonic())
        return answers.pop(0)

    with serving(answer) as server:
        reports = deliver(post_to(server), [message("a")])

    assert times[1] - times[0] >= 0.3
    assert reports == ["asks for fewer messages (429)"]


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-5"])
def test_a_date_or_nonsense_for_patience_is_passed_over(after):
    answers = [Answer(status=503, headers={"Retry-After": after}), Answer()]
    with serving(lambda _: answers.pop(0)) as server:
        deliver(post_to(server), [message("a")])

    assert bodies(server) == ["a", "a"]


def test_an_address_where_nobody_listens_is_told_without_it():
    with serving() as server:
        post = post_to(server)

    reports = deliver(post, [message("a"), message("b")])

    assert reports == ["can't be reached (ConnectionRefusedError)", "did not take 2 messages"]


def test_silence_ends_after_a_while(monkeypatch):
    monkeypatch.setattr("recipe_runtime.watch.post._TIMEOUT_SECONDS", 0.1)
    hold = threading.Event()
    with serving(lambda _: Answer(hold=hold)) as server:
        reports = deliver(post_to(server), [message("a")])
        hold.set()

    assert reports == ["was silent for 0 s", "did not take 1 messages"]


def test_the_end_of_a_run_waits_no_longer_than_it_may():
    hold = threading.Event()
    with serving(lambda _: Answer(hold=hold)) as server:
        began = time.monotonic()
        reports = deliver(post_to(server), [message("a"), message("b")], seconds=0.2)
        took = time.monotonic() - began
        hold.set()

    assert 0.2 <= took < 5
    assert reports == ["did not take 2 messages"]


def test_a_long_pause_is_cut_short_by_the_end():
    with serving(lambda _: Answer(status=429, headers={"Retry-After": "300"})) as server:
        reports = deliver(post_to(server), [message("a"), message("b")], seconds=0.2)

    assert bodies(server) == ["a"]
    assert reports == ["asks for fewer messages (429)", "did not take 2 messages"]


class Stalling:
    """Takes no message before it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.reached = threading.Event()
        self.sent = []

    def __call__(self, request):
        self.reached.set()
        self.go.wait(30)
        self.sent.append(request.body.decode())


def test_a_full_queue_drops_the_oldest_progress_then_what_matters_least_and_never_errors():
    post, reports = Stalling(), []
    delivery = Delivery(post, reports.append, capacity=4)
    delivery.offer(message("in flight"))
    assert post.reached.wait(10)
    for number in range(4):
        delivery.offer(message(f"progress {number}", progress=True))
    delivery.offer(message("old news"))
    delivery.offer(message("error", level="error"))
    delivery.offer(message("warning", level="warning"))
    delivery.offer(message("progress 4", progress=True))
    delivery.offer(message("news"))
    delivery.offer(message("failure", level="critical"))
    delivery.offer(message("more news"))
    delivery.offer(message("another error", level="error"))
    post.go.set()
    delivery.stop(20)
    delivery.join()

    assert post.sent == ["in flight", "error", "failure", "another error"]
    assert reports == ["was slower than the run: dropped 9 messages"]


def test_errors_are_kept_beyond_the_capacity():
    post, reports = Stalling(), []
    delivery = Delivery(post, reports.append, capacity=2)
    delivery.offer(message("in flight"))
    assert post.reached.wait(10)
    for number in range(5):
        delivery.offer(message(f"error {number}", level="error"))
    post.go.set()
    delivery.stop(20)
    delivery.join()

    assert len(post.sent) == 6
    assert reports == []


def test_pauses_double_up_to_a_minute(monkeypatch):
    pauses = []
    problem = Problem(kind="5xx", text="has trouble", again=True)
    delivery = Delivery(lambda _: problem, lambda _: None, pause_seconds=1.0)
    monkeypatch.setattr(delivery._changed, "wait", pauses.append)
    clock = iter(range(10**6))
    monkeypatch.setattr("recipe_runtime.watch.delivery.time.monotonic", lambda: next(clock) * 0.01)

    for failures in (1, 2, 3, 7, 40):
        delivery._failures = failures
        before = len(pauses)
        delivery._pause(problem)
        assert pauses[before] == pytest.approx(min(2.0 ** (failures - 1), 60.0), abs=0.05)
