import torch

from fakes_training import encoded_project
from recipe_runtime.latent_colors import color, colors_key, fit, latent_colors, mean_colors


def test_a_map_that_made_the_colors_is_found_again():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(3, 16, generator=generator), torch.randn(3, generator=generator)
    pairs = []
    for places in (40, 25):
        latents = torch.randn(16, places, generator=generator)
        pairs.append((latents, weight @ latents + bias[:, None]))

    found_weight, found_bias = fit(pairs)

    assert torch.allclose(found_weight, weight, atol=1e-5)
    assert torch.allclose(found_bias, bias, atol=1e-5)


def test_a_fit_is_the_least_squares_solution_where_no_map_is_exact():
    generator = torch.Generator().manual_seed(1)
    latents, colors = torch.randn(16, 50, generator=generator), torch.randn(3, 50, generator=generator)

    weight, bias = fit([(latents, colors)])

    rows = torch.cat([latents, torch.ones(1, 50)]).double()
    expected = torch.linalg.lstsq(rows.T, colors.double().T).solution.T.float()
    assert torch.allclose(torch.cat([weight, bias[:, None]], 1), expected, atol=1e-5)


def test_clips_of_one_color_give_that_color():
    weight, bias = fit([(torch.zeros(16, 9), torch.full((3, 9), 0.25))])

    assert torch.allclose(weight, torch.zeros(3, 16))
    assert torch.allclose(bias, torch.full((3,), 0.25))


def test_a_place_of_latents_stands_for_the_mean_of_its_pixels():
    pixels = torch.randn(3, 9, 16, 24, generator=torch.Generator().manual_seed(2))

    means = mean_colors(pixels, (3, 2, 3))

    assert means.shape == (3, 3, 2, 3)
    assert torch.allclose(means[:, 0, 1, 2], pixels[:, 0, 8:16, 16:24].mean((1, 2)), atol=1e-6)
    assert torch.allclose(means[:, 2, 0, 1], pixels[:, 5:9, 0:8, 8:16].mean((1, 2, 3)), atol=1e-6)
    assert mean_colors(pixels[:, :1], (1, 2, 3)).shape == (3, 1, 2, 3)


def test_coloring_applies_the_map_at_every_place():
    weight, bias = torch.eye(3, 16), torch.tensor([1.0, 2.0, 3.0])
    latents = torch.randn(16, 2, 3, 4)

    assert torch.equal(color(latents, weight, bias), latents[:3] + bias.view(3, 1, 1, 1))


def test_the_map_of_a_run_is_kept_under_what_it_was_fitted_to(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"data.store_dir": "store"})

    weight, bias = latent_colors(ctx)

    assert (weight.shape, bias.shape) == ((3, 16), (3,))
    assert ctx.store.has("colors", colors_key(ctx))
    assert torch.equal(latent_colors(ctx)[0], weight)
    _, other, _ = encoded_project(tmp_path / "other", **{"data.store_dir": "store", "memory.vae_tiling": True})
    assert colors_key(other) != colors_key(ctx)
