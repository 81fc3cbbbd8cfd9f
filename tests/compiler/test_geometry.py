import pytest
from hypothesis import given, strategies as st

from recipe_compiler.data.geometry import Resolution, fit, sample_frames, target_size
from recipe_schema.family import load_family


FAMILY = load_family("sana-video-480p")

SOURCES = [(1920, 1080), (832, 480), (1280, 960), (1000, 1000), (1080, 1920)]

# Measured on SimpleTuner 4.10.1: the size that is trained, and that to which a clip is resized before the crop.
MEASURED = {
    ("pixel_area", 480, 64): [
        ((704, 384), (704, 396)),
        ((704, 384), (704, 406)),
        ((576, 448), (597, 448)),
        ((512, 512), (512, 512)),
        ((384, 704), (396, 704)),
    ],
    ("pixel_area", 480, 32): [
        ((640, 352), (640, 360)),
        ((640, 352), (640, 369)),
        ((544, 416), (555, 416)),
        ((480, 480), (480, 480)),
        ((352, 640), (360, 640)),
    ],
    ("pixel_area", 632, 32): [
        ((864, 480), (864, 486)),
        ((832, 480), (832, 480)),
        ((736, 544), (736, 552)),
        ((640, 640), (640, 640)),
        ((480, 864), (486, 864)),
    ],
    ("pixel", 480, 64): [
        ((832, 512), (910, 512)),
        ((832, 512), (887, 512)),
        ((640, 512), (683, 512)),
        ((512, 512), (512, 512)),
        ((512, 832), (512, 910)),
    ],
    ("pixel", 480, 32): [
        ((864, 480), (864, 486)),
        ((832, 480), (832, 480)),
        ((640, 480), (640, 480)),
        ((480, 480), (480, 480)),
        ((480, 864), (486, 864)),
    ],
}


def resolution(value, kind="pixel_area", alignment=64, rounding=2):
    return Resolution(value=float(value), kind=kind, alignment=alignment, rounding=rounding)


@pytest.mark.parametrize(
    ("how", "source", "target", "resized"),
    [
        (how, source, target, resized)
        for how, sizes in MEASURED.items()
        for source, (target, resized) in zip(SOURCES, sizes, strict=True)
    ],
)
def test_a_clip_gets_the_size_that_it_has_in_simpletuner(how, source, target, resized):
    kind, value, alignment = how

    size = target_size(*source, resolution(value, kind, alignment))
    place = fit(*source, [size])

    assert size == target
    assert (place.resize_width, place.resize_height) == resized


@pytest.mark.parametrize(
    ("megapixels", "alignment", "edge"),
    [
        (0.2304, 64, 512),
        (0.25, 16, 512),
        (0.5, 64, 768),
        (1.0, 32, 1024),
        (2.0, 64, 1536),
        (4.0, 64, 2048),
        (0.4, 16, 640),
    ],
)
def test_a_square_of_so_many_megapixels_has_the_usual_edge(megapixels, alignment, edge):
    assert target_size(800, 800, resolution(megapixels, "area", alignment)) == (edge, edge)


def test_megapixels_and_the_edge_of_a_square_mean_the_same_for_other_shapes():
    assert target_size(1920, 1080, resolution(0.2304, "area")) == target_size(1920, 1080, resolution(480)) == (704, 384)


def test_shapes_that_round_alike_share_a_size():
    rough, fine = resolution(480, alignment=16, rounding=1), resolution(480, alignment=16, rounding=3)

    assert target_size(1920, 1080, rough) == target_size(1920, 1040, rough)
    assert target_size(1920, 1080, fine) != target_size(1920, 1040, fine)


@given(
    st.integers(16, 20000),
    st.integers(16, 20000),
    st.floats(0.01, 20000),
    st.sampled_from(["pixel", "area", "pixel_area"]),
    st.integers(1, 16),
    st.integers(1, 9),
)
def test_sides_are_multiples_of_the_alignment_whatever_the_clip_is(width, height, value, kind, sixteens, rounding):
    alignment = 16 * sixteens

    size = target_size(width, height, resolution(value, kind, alignment, rounding))

    assert all(side >= alignment and side % alignment == 0 for side in size)


@given(st.integers(1, 400), st.integers(0, 100), st.one_of(st.none(), st.integers(1, 200)))
def test_a_sample_is_never_longer_than_its_clip_and_always_legal(available, k, interval):
    wanted = 4 * k + 1
    used = sample_frames(available, wanted, FAMILY, interval)

    assert used <= min(available, wanted)
    assert used % 4 == 1
    assert used == wanted or available < wanted


@pytest.mark.parametrize(
    ("available", "interval", "used"),
    [(60, None, 57), (60, 8, 53), (60, 16, 45), (60, 25, 49), (6, 8, 5), (90, 16, 81)],
)
def test_an_interval_rounds_the_lengths_of_shorter_clips_before_the_vae_does(available, interval, used):
    assert sample_frames(available, 81, FAMILY, interval) == used
