import copy
import pickle

import pytest

from synthset.diagnosis.rows import ClassRow, Pairing, SetSummary

ROW = ClassRow("drawn", 0, "jay", 9, {"centroid_distance": 0.5, "real_accuracy": None}, "fine", "All is well.", "")


def test_measures_read_as_attributes():
    assert ROW.centroid_distance == 0.5
    assert ROW.real_accuracy is None
    assert ROW.verdict == "fine"
    assert "centroid_distance" in dir(ROW)
    with pytest.raises(
        AttributeError, match=r"'ClassRow' has no measure 'centroid_distanc'. Valid: centroid_distance, "
    ):
        _ = ROW.centroid_distanc
    assert not hasattr(ROW, "real")


def test_columns_stand_in_order_with_measures_in_their_place():
    assert list(ROW.columns()) == [
        *("set", "class_index", "class_name", "images", "centroid_distance", "real_accuracy"),
        *("verdict", "explanation", "remedy", "evidence"),
    ]
    assert list(Pairing(1, "a-IM", "b-IM", {"low": 0.1}, 9).columns()) == [
        *("experiment", "reference", "query", "low", "queries"),
    ]


def test_rows_are_values():
    summary = SetSummary("drawn", "synthetic", 9, {"vendi_score": 2.5})
    assert summary == SetSummary("drawn", "synthetic", 9, {"vendi_score": 2.5})
    assert summary != SetSummary("drawn", "synthetic", 9, {"vendi_score": 3.5})
    assert repr(summary) == "SetSummary(set='drawn', kind='synthetic', images=9, vendi_score=2.5)"
    assert len({summary, SetSummary("drawn", "synthetic", 9, {"vendi_score": 2.5})}) == 1
    assert copy.deepcopy(summary) == pickle.loads(pickle.dumps(summary)) == summary
    with pytest.raises(AttributeError):
        summary.images = 10
