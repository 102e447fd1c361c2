"""Nobody but the page itself gets anything of the dataset, or changes it."""

import pytest

from review.pages import TOKEN, served
from small_datasets import make
from synthset.dataset.by_hand import read_by_hand
from synthset.review.guard import MAX_BODY_BYTES, new_token
from synthset.review.server import page_files


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard") / "d"
    make(folder)
    with served(folder) as (_, asker):
        asker.folder = folder
        yield asker


def change(page):
    return {"contents": page.contents()["id"], "version": 0, "changes": [{"rows": [0], "hand": -1}]}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"X_Synthset_Token": None},
        {"X_Synthset_Token": "another"},
        {"X_Synthset_Token": ""},
        {"X_Synthset_Token": "é"},
        {"X_Synthset_Token": [TOKEN, "another"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/api/contents", "/api/image/0", "/api/decide", "/api/no-such-thing"])
def test_what_another_asks_is_refused(page, headers, path):
    body = change(page) if path == "/api/decide" else None
    status, data, response = page.ask(path, body, **headers)
    if headers == {"Host": None}:
        assert status in (400, 403)  # h11 itself refuses it
    else:
        assert status == 403
        assert response.headers["cache-control"] == "no-store"
    assert b"class" not in data
    assert read_by_hand(page.folder) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Content_Type": "text/plain"},
        {"Content_Type": None},
        {"Content_Length": str(MAX_BODY_BYTES + 1)},
        {"Transfer_Encoding": "chunked"},
    ],
    ids=str,
)
def test_a_change_must_come_from_the_page_as_short_json(page, headers):
    assert page.ask("/api/decide", change(page), **headers)[0] == 403
    assert read_by_hand(page.folder) == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(page, method):
    assert page.ask("/api/contents", method=method)[0] in (403, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/../manifest.json",
        "/page/../../session.py",
        "/%2e%2e/session.py",
        "/..%2fsession.py",
        "/review.js/../../session.py",
        "//etc/passwd",
        "/session.py",
        "/api/image/../facts/0/x",
        "/api/image/-1",
        "/api/image/1.5",
        "/api/image/abc",
        "/.hidden",
        "/index.html",
    ],
)
def test_no_trick_with_paths_reads_a_file(page, path):
    assert page.ask(path)[0] == 404


@pytest.mark.parametrize("kind", ["image", "facts", "neighbours", "previews"])
def test_a_number_that_takes_long_to_read_is_not_read(page, kind):
    status, data, _ = page.ask(f"/api/{kind}/{'9' * 5000}")
    assert (status, data) == (403, b"An address that is too long.")
    assert page.ask(f"/api/{kind}/{'9' * 100}")[0] == 409


def test_there_is_no_such_image(page):
    assert page.ask("/api/image/20")[0] == 409
    assert page.ask("/api/thumbnails?rows=0,20")[0] == 409
    assert page.ask("/api/thumbnails?rows=" + ",".join(["0"] * 97))[0] == 409
    assert page.ask("/api/thumbnails?rows=")[0] == 409


def test_its_own_files_need_no_token_and_run_nothing_of_others(page):
    for name in ["", *(name for name in page_files() if name != "index.html")]:
        status, data, response = page.ask(f"/{name}", X_Synthset_Token=None)
        assert (status, bool(data)) == (200, True)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert "set-cookie" not in response.headers
    _, html, _ = page.ask("/")
    assert b"http://" not in html
    assert b"https://" not in html


def test_the_page_itself_may(page):
    assert page.ask("/api/contents")[0] == 200
    assert page.ask("/api/contents", Host=f"localhost:{page.port}")[0] == 200


def test_tokens_are_long_and_all_different():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43
