import pytest

from recipe_schema.family import load_family


FAMILY = load_family("sana-video-480p")


@pytest.mark.parametrize(("frames", "legal"), [(1, 1), (4, 1), (5, 5), (8, 5), (80, 77), (81, 81), (84, 81), (85, 85)])
def test_legal_frames_are_4k_plus_1(frames, legal):
    assert FAMILY.legal_frames(frames) == legal


def test_a_480p_clip_has_the_published_latents_and_tokens():
    assert FAMILY.latent_shape(832, 480, 81) == (16, 21, 60, 104)
    assert FAMILY.tokens(832, 480, 81) == 32_760


def test_the_official_sizes_are_legal_latents():
    assert "832x480" in FAMILY.default("buckets")
    for size in FAMILY.default("buckets"):
        assert all(int(side) % FAMILY.size_multiple == 0 for side in size.split("x"))
