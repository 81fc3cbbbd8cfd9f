"""S3 stores, for `type: aws`."""

import hashlib
from pathlib import Path

import pytest

from fakes_fetching import captions, clip_content, fetch, findings, recipe, the


@pytest.fixture(scope="module")
def clip_bytes():
    return clip_content()


class Store:
    """A store of fsspec's kind, out of a mapping. ``behaviour`` says what the next downloads do."""

    def __init__(self, objects):
        self.objects, self.behaviour, self.asked = dict(objects), [], []

    def find(self, root, detail):
        assert detail
        if root.startswith("none"):
            raise PermissionError("Access Denied\nand so on")
        return {
            path: {"size": len(content), "ETag": hashlib.md5(content).hexdigest()}
            for path, content in self.objects.items()
            if path.startswith(root)
        }

    def get_file(self, path, target):
        self.asked.append(path)
        what = self.behaviour.pop(0) if self.behaviour else "send"
        if what == "fail":
            raise ConnectionError
        Path(target).write_bytes(self.objects[path][: 10 if what == "cut" else None])


def store_recipe(tmp_path, *more):
    return recipe(tmp_path, ["type: aws", "aws_bucket_name: films", "aws_data_prefix: sea/", *more])


@pytest.fixture
def store(monkeypatch, clip_bytes):
    from recipe_compiler.fetch import data_set

    made = Store(
        {
            "films/sea/a.mp4": clip_bytes,
            "films/sea/a.txt": b"a wave",
            "films/sea/x/b.mp4": clip_bytes,
            "films/sea/x/b.txt": b"a boat",
            "films/sea/x/empty/": b"",
            "films/land/c.mp4": clip_bytes,
        }
    )
    monkeypatch.setattr(data_set, "open_store", lambda *_: made)
    return made


def test_a_prefix_of_a_store_is_mirrored_once(tmp_path, store):
    path = store_recipe(tmp_path)
    assert "does not exist" in the(findings(path), "R301").message
    assert fetch(path) == 0
    assert captions(path) == {"a.mp4": "a wave", "x/b.mp4": "a boat"}
    assert fetch(path) == 0
    assert len(store.asked) == 4
    other = store_recipe(tmp_path, "aws_endpoint_url: http://localhost:1")
    assert "not `s3://films/sea at http://localhost:1`" in the(findings(other), "R301").message
    assert fetch(other) == 4


def test_objects_that_failed_or_changed_are_fetched_again(tmp_path, store, clip_bytes, capsys):
    path = store_recipe(tmp_path)
    store.behaviour = ["cut", "cut", "cut", "fail", "send", "send", "fail", "fail", "fail"]
    assert fetch(path) == 4
    error = capsys.readouterr().err
    assert f"`films/sea/a.mp4` could not be downloaded (10 of {len(clip_bytes)} bytes came), one of 2 of 4" in error
    assert "(ConnectionError: no details)" in error
    assert not (tmp_path / "data/clips").exists()

    with (tmp_path / "data/.clips.partial/.objects.jsonl").open("a") as notes:
        notes.write("[half\n")
    store.objects["films/sea/a.txt"] = b"a gale"
    store.asked.clear()
    assert fetch(path) == 0
    assert store.asked == ["films/sea/a.mp4", "films/sea/a.txt", "films/sea/x/b.txt"]
    assert captions(path)["a.mp4"] == "a gale"


def test_what_an_interrupted_fetch_left_of_another_prefix_does_not_stay(tmp_path, store):
    store.behaviour = ["send", "send", "fail", "fail", "fail"]
    assert fetch(store_recipe(tmp_path)) == 4
    assert (tmp_path / "data/.clips.partial/a.mp4").exists()
    assert (tmp_path / "data/.clips.partial/x").is_dir()

    assert fetch(recipe(tmp_path, ["type: aws", "aws_bucket_name: films", "aws_data_prefix: land/"])) == 0

    there = {path.name for path in (tmp_path / "data/clips").rglob("*") if not path.name.startswith(".")}
    assert there == {"c.mp4"}


def test_an_object_that_was_deleted_meanwhile_does_not_stay(tmp_path, store):
    store.behaviour = ["send", "send", "fail", "fail", "fail"]
    assert fetch(store_recipe(tmp_path)) == 4
    del store.objects["films/sea/a.mp4"], store.objects["films/sea/a.txt"]

    assert fetch(store_recipe(tmp_path)) == 0

    assert captions(tmp_path / "recipe.yaml") == {"x/b.mp4": "a boat"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("aws_bucket_name: none", "could not be listed (PermissionError: Access Denied); check"),
        ("aws_data_prefix: sky", "s3://films/sky holds nothing"),
        ("aws_data_prefix: land/c.mp4", "lies outside"),
    ],
)
def test_a_store_that_holds_nothing_to_mirror_is_told(tmp_path, store, keys, words, capsys):
    given = {"aws_bucket_name": "films", "aws_data_prefix": "sea"} | dict([keys.split(": ")])
    path = recipe(tmp_path, ["type: aws", *(f"{key}: {value}" for key, value in given.items())])
    assert fetch(path) == 4
    assert words in capsys.readouterr().err
    assert store.asked == []
    (tmp_path / "data/clips").mkdir(parents=True)
    (tmp_path / "data/clips/mine.mp4").write_bytes(b"mine")
    assert fetch(path) == 4
    assert "was not made by `recipe fetch`" in capsys.readouterr().err


def test_without_s3fs_it_is_said_what_to_install(tmp_path, monkeypatch, capsys):
    import fsspec

    made = []

    def filesystem(kind, **options):
        made.append((kind, options["endpoint_url"], options["client_kwargs"]))
        raise ImportError

    monkeypatch.setattr(fsspec, "filesystem", filesystem)
    assert fetch(store_recipe(tmp_path, "aws_region_name: eu-west-1")) == 4
    assert fetch(store_recipe(tmp_path)) == 4
    assert "pip install 'sana-recipes[s3]'" in capsys.readouterr().err
    assert made == [("s3", None, {"region_name": "eu-west-1"}), ("s3", None, {})]


def test_a_real_library_and_a_store_on_this_machine(tmp_path, clip_bytes, monkeypatch, capsys):
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("NO_PROXY", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        address = "http://{}:{}".format(*moto.get_host_and_port())
        client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
        client.create_bucket(Bucket="films")
        for name, content in (("a.mp4", clip_bytes), ("a.txt", b"a wave"), ("x/b.mp4", clip_bytes), ("x/b.txt", b"b")):
            client.put_object(Bucket="films", Key=f"sea/{name}", Body=content)
        path = store_recipe(tmp_path, f"aws_endpoint_url: {address}", "aws_region_name: us-east-1")
        assert fetch(path) == 0, capsys.readouterr().err
        assert captions(path) == {"a.mp4": "a wave", "x/b.mp4": "b"}
    finally:
        moto.stop()
