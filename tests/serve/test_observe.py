"""Which version answers, where one does."""

from raypipe.serve.deploy import free_port
from raypipe.serve.desired import Desired
from raypipe.serve.observe import serving
from raypipe.serve.stage import stage


def test_the_version_that_answers_or_none(desired: Desired):
    with stage(desired, inline=True, within_s=10) as url:
        assert serving(url, "flights") == 1
        assert serving(url, "another") is None
    assert serving(f"http://127.0.0.1:{free_port()}", "flights", 0.2) is None
    assert serving("no address", "flights") is None
