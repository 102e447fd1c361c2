import numpy as np
import pytest
from filtered_pets import run, verdicts

from synthset.dataset.reader import open_dataset
from synthset.filters import audit, threshold_curve


def test_the_audit_has_every_verdict_with_its_class_and_strategy(pets):
    dataset = open_dataset(pets)
    assert audit(dataset).num_rows == 0
    run(pets, ["clip", "duplicates"])
    table = audit(dataset)
    assert table.num_rows == 80
    row = table.slice(21, 1).to_pylist()[0]
    verdict = verdicts(pets).slice(21, 1).to_pylist()[0]
    assert verdict.pop("judged_as") == "dog"  # which the row has as its class
    (drawn,) = [one for one in dataset.rows.to_pylist() if one["request_id"] == verdict["request_id"]]
    said = {"method": "clip", "class_index": 1, "class_name": "dog", "strategy": "random_guidance"} | verdict
    assert row == said | {name: drawn[name] for name in ("prompt", "guidance_scale", "seed")}
    assert set(table.column("method").to_pylist()) == {"clip", "duplicates"}


def test_the_threshold_curve_falls_from_all_to_none(pets):
    run(pets)
    scores = open_dataset(pets).verdicts()["clip"].scores
    thresholds = np.array([-1.0, 0.5, 1.0])
    shares = threshold_curve(scores, thresholds)
    assert shares.tolist() == [1.0, (scores > 0.5).mean(), 0.0]
    for bad in (np.array([]), np.array([0.1, np.nan])):
        with pytest.raises(ValueError, match="score"):
            threshold_curve(bad, thresholds)
