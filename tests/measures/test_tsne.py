import pytest
import torch

from synthset.measures.tsne import project


def random(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_clusters_stay_together_and_apart():
    centres = torch.eye(3, 8) * 5
    places = project(torch.cat([centre + 0.3 * random(20, 8, seed) for seed, centre in enumerate(centres)]), 0)
    assert places.dtype == torch.float32
    assert places.shape == (60, 2)
    distances = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert torch.equal(distances.argmin(1) // 20, torch.arange(60) // 20)


def test_the_seed_decides_and_scale_does_not_count():
    x = random(30, 6)
    places = project(x, 3, num_iterations=250)
    assert torch.equal(places, project(x, 3, num_iterations=250))
    assert torch.allclose(places, project(x * 4, 3, num_iterations=250))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_rows_have_places_of_their_own(n):
    places = project(random(n, 4), num_iterations=250)
    assert places.shape == (n, 2)
    assert places.isfinite().all()
    assert len(places.unique(dim=0)) == n


def test_rows_in_one_place_stay_there():
    assert torch.equal(project(torch.ones(4, 3)), torch.zeros(4, 2))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"two rows and two columns to lay out, got shape \(1, 4\)"):
        project(random(1, 4))
    with pytest.raises(ValueError, match="two rows and two columns"):
        project(random(4, 1))
    with pytest.raises(ValueError, match="NaN or infinity"):
        project(random(4, 2) * torch.nan)
    for perplexity in (0, 4, float("nan")):
        with pytest.raises(ValueError, match="perplexity above 0 and below the 4 rows"):
            project(random(4, 2), perplexity=perplexity)
    with pytest.raises(ValueError, match="at least 250 iterations"):
        project(random(4, 2), num_iterations=10)
