import pytest
import torch
from safetensors import safe_open

from recipe_runtime.errors import StoreError
from recipe_runtime.store import Store, content_key


KEY = content_key({"a": 1})


def values():
    return {"x": torch.arange(6.0).view(2, 3), "y": torch.ones(3, dtype=torch.bfloat16), "z": torch.tensor(7)}


def test_a_value_comes_back_as_it_was_written(tmp_path):
    store = Store(tmp_path / "store")
    assert not store.has("latents", KEY)

    store.write("latents", KEY, values(), {"clip": "a"})

    read = store.read("latents", KEY)
    assert store.has("latents", KEY)
    assert not store.has("text", KEY)
    assert read.keys() == values().keys()
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in values().items())
    assert store.path("latents", KEY) == tmp_path / "store" / "latents" / KEY[:2] / f"{KEY}.safetensors"


def test_the_file_says_what_made_it(tmp_path):
    store = Store(tmp_path)

    store.write("text", KEY, values(), {"text": "a cat"})

    with safe_open(store.path("text", KEY), framework="pt") as file:
        assert file.metadata()["text"] == "a cat"


def test_a_view_is_stored_as_what_it_shows(tmp_path):
    store = Store(tmp_path)
    whole = torch.arange(12.0).view(3, 4)

    store.write("text", KEY, {"x": whole[:, ::2].T}, {})

    assert torch.equal(store.read("text", KEY)["x"], whole[:, ::2].T)


def test_every_flipped_bit_is_noticed(tmp_path):
    store = Store(tmp_path)
    store.write("latents", KEY, values(), {})
    path = store.path("latents", KEY)
    content = path.read_bytes()

    for place in range(len(content) - 30, len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(StoreError, match=r"damaged.*delete this file"):
            store.read("latents", KEY)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_cut_file_is_named_with_the_cure(tmp_path, length):
    store = Store(tmp_path)
    store.write("latents", KEY, values(), {})
    path = store.path("latents", KEY)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(StoreError, match=f"{KEY}.safetensors can't be read.*delete this file"):
        store.read("latents", KEY)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StoreError, match=f"{KEY}.safetensors is missing"):
        Store(tmp_path).read("latents", KEY)


def test_a_key_depends_on_values_and_not_on_their_order():
    assert content_key({"a": 1, "b": "x"}) == content_key({"b": "x", "a": 1})
    assert content_key({"a": 1, "b": "x"}) != content_key({"a": 2, "b": "x"})
    assert len(KEY) == 64


def test_a_store_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=f"{KEY}.safetensors can't be written: .*Not a directory"):
        Store(tmp_path / "file").write("latents", KEY, values(), {})


def test_compressed_values_come_back_as_they_were_and_a_store_may_hold_both(tmp_path):
    plain, small = Store(tmp_path), Store(tmp_path, compress=True)
    other = content_key({"a": 2})
    many = {
        **values(),
        "empty": torch.zeros(0, 4),
        "nan": torch.tensor([float("nan"), -0.0]),
        "flag": torch.tensor([True]),
        "half": torch.randn(5, 7).half(),
    }

    plain.write("latents", KEY, many, {"clip": "a"})
    small.write("latents", other, many, {"clip": "a"})

    for store in (plain, small):
        one, two = store.read("latents", KEY), store.read("latents", other)
        assert one.keys() == two.keys() == many.keys()
        for name, value in many.items():
            assert one[name].dtype == two[name].dtype == value.dtype
            assert one[name].shape == two[name].shape == value.shape
            assert (
                one[name].numpy(force=True).tobytes() == two[name].numpy(force=True).tobytes()
                if (value.dtype != torch.bfloat16)
                else torch.equal(one[name], two[name])
            )
    with safe_open(small.path("latents", other), framework="pt") as file:
        facts = file.metadata()
    with safe_open(plain.path("latents", KEY), framework="pt") as file:
        assert file.metadata()["sha256"] == facts["sha256"]  # it covers the plain tensors
    assert facts["clip"] == "a"


def test_compression_makes_latents_smaller(tmp_path):
    latents = {"latents": torch.randn(16, 5, 16, 16, generator=torch.Generator().manual_seed(0))}
    sizes = []
    for compress in (False, True):
        store = Store(tmp_path / str(compress), compress=compress)
        store.write("latents", KEY, latents, {})
        sizes.append(store.path("latents", KEY).stat().st_size)

    assert sizes[1] < 0.9 * sizes[0]


def test_damage_in_a_compressed_value_is_noticed(tmp_path):
    store = Store(tmp_path, compress=True)
    store.write("latents", KEY, {"x": torch.arange(200.0)}, {})
    path = store.path("latents", KEY)
    content = path.read_bytes()
    begin = content.index(b"}}") + 2

    for place in range(begin, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            assert torch.equal(store.read("latents", KEY)["x"], torch.arange(200.0))  # a byte of padding
        except StoreError as error:
            assert "delete this file" in str(error)  # noqa: PT017
    for old, new in ((b"float32", b"float99"), (b"[200]", b"[300]"), (b"[200]", b"[100]"), (b"zstd", b"zstx")):
        path.write_bytes(content.replace(old, new))
        with pytest.raises(StoreError, match="delete this file"):
            store.read("latents", KEY)
