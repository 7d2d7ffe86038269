"""The page of a profile: one file, everything on it, and nothing in the data that runs."""

import base64
import hashlib
import html
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.statistics.profile import Profile

HOSTILE = [
    "</script><script>document.title='run'</script>",
    '"><img src=x onerror="document.title=\'run\'">',
    "a\x1b[31m\u202eb",
    "{{7*7}}",
    "' onload='x",
]


class Seen(HTMLParser):
    """The elements and their attributes, and the text of each script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def hostile_page(num_columns: int = 5) -> str:
    table = {f"{HOSTILE[i % 5]}{i}": [HOSTILE[(i + j) % 5] for j in range(50)] for i in range(num_columns)}
    profile = Profile.of(pa.table({**table, "x": np.arange(50.0), "b": [b"<b>"] * 50, "s": [{"<i>": 1}] * 50}))
    return Profile(
        profile.num_rows, profile.columns, {"table": HOSTILE[0], "snapshot": 1, "files": 1, "bytes": 9, "made_at": "2026"}
    ).to_html()


def test_what_comes_out_of_the_data_is_text():
    page = hostile_page()
    seen = Seen(page)
    assert not {tag for tag, _ in seen.tags} & {"img", "iframe", "object", "a:href", "link", "base", "form"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in seen.tags].count("script") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert html.escape(HOSTILE[0], quote=True) in page


def test_the_policy_lets_only_the_pages_own_script_run_and_nothing_be_fetched():
    page = hostile_page()
    seen = Seen(page)
    policy = next(a["content"] for tag, a in seen.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(seen.scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.findall(r"""(?:src|href)=["'](?!#)|url\(|@import|https?://""", page.replace(html.escape(HOSTILE[1]), ""))


def test_every_picture_says_what_it_shows():
    rng = np.random.default_rng(0)
    table = pa.table(
        {"x": rng.normal(size=2_000), "at": pa.array(rng.integers(0, 10**9, 2_000), pa.timestamp("s")), "n": rng.integers(0, 9, 2_000)}
    )
    seen = Seen(Profile.of(table).to_html())
    pictures = [attributes for tag, attributes in seen.tags if tag == "svg"]
    assert len(pictures) == 6
    assert all(one["role"] == "img" and one["aria-label"] for one in pictures)


@pytest.mark.parametrize("table", [pa.table({"x": pa.array([], pa.float64())}), pa.table({}), pa.table({"n": pa.nulls(3)})])
def test_little_to_show(table):
    assert '<ul class="cards">' in Profile.of(table).to_html()


def test_a_column_of_nothing_but_nan_has_no_values():
    page = Profile.of(pa.table({"x": [float("nan")] * 3})).to_html()
    assert '<p class="quiet">no values</p>' in page


def test_no_bytes_are_not_an_empty_text():
    assert "no bytes</span>" in (page := Profile.of(pa.table({"x": [b"", b"", b"a"]})).to_html())
    assert "empty text" not in page


def test_three_hundred_columns_make_a_page_of_two_megabytes():
    rng = np.random.default_rng(0)
    page = Profile.of(pa.table({f"x{i}": rng.normal(size=2_000) for i in range(300)})).to_html()
    assert page.count('class="card"') == 300
    assert len(page) < 3_000_000


def test_in_a_browser_nothing_hostile_runs_and_the_script_counts_the_columns(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: the page's script and policy are not tried out")
    path = tmp_path / "page.html"
    path.write_text(hostile_page())
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom"]
    done = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=60)
    if done.returncode or "<html" not in done.stdout:
        pytest.skip(f"Chromium does not start here: {done.stderr[-200:]}")
    assert "<title>run</title>" not in done.stdout
    assert re.search(r'<output id="said"[^>]*>8 columns</output>', done.stdout)
