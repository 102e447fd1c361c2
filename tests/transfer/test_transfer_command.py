"""`synthset transfer`: a table or JSON, and one line for what cannot be."""

import json


def test_a_table_and_json_say_the_same_and_bad_lines_are_refused(own_folder, run, refuse):
    line = ["transfer", "random", "--architecture", "small_cnn", "--real", "digits", "--mode", "knn", "--shots", 2]
    line += ["--neighbours", 1, "--device", "cpu"]
    code, out, _ = run(*line)
    assert code == 0
    assert "knn of small_cnn (random) on digits" in out
    code, again, _ = run(*line, "--json")
    result = json.loads(again)["transfer"]
    assert (result["mode"], result["shots"], result["trials"][0]["n"]) == ("knn", 2, 899)
    assert f"{result['score']:.1%}" in out
    assert "--mode finetune with --epochs" in refuse(*line, "--epochs", 3, "--output-dir", "other")
    assert "--architecture" in refuse("transfer", "random", "--real", "digits", "--output-dir", "other")
    assert "--real digits" in refuse("transfer", "random")
    other = [3 if word == 2 else word for word in line]
    assert "shots: 2 there, 3 here" in refuse(*other)
