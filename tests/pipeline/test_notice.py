"""Who is told of a failure, and that a failure to tell is said and changes nothing."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

WRITE = "import sys; open('told', 'w').write(sys.stdin.read())"


def test_a_command_is_told_on_its_standard_input(project):
    told = {"notify": {"command": [sys.executable, "-c", WRITE]}}
    result = project.run({"a": project.module.Fails()}, {"a": told})
    body = json.loads((project.folder / "told").read_text())
    assert (body["pipeline"], body["run"], body["step"]) == ("p", result.id, "a")
    assert "failure 1" in body["error"]


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ({"command": [sys.executable, "-c", "raise SystemExit('nobody is there')"]}, "nobody is there"),
        ({"command": ["/nonexistent/mailer"]}, "No such file"),
        ({"url": "http://127.0.0.1:9/hook"}, "no public address"),
    ],
)
def test_a_failure_to_tell_is_said_and_the_first_one_counts(project, notify: dict, said: str):
    result = project.run({"a": project.module.Fails()}, {"default": {"notify": notify}})
    assert "failure 1" in result.error
    assert result.exit_code == 1
    assert any(said in why for why in project.told("progress"))


def test_a_url_is_told_by_post_and_a_redirect_is_not_followed(project, monkeypatch: pytest.MonkeyPatch):
    bodies = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(302 if self.path == "/moved" else 204)
            self.send_header("Location", "/hook")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("RAYPIPE_SOURCE_HOSTS", "127.0.0.1")
    for path in ("hook", "moved"):
        project.run({"a": project.module.Fails()}, {"a": {"notify": {"url": f"http://127.0.0.1:{server.server_port}/{path}"}}})
    server.shutdown()
    server.server_close()
    assert [body["step"] for body in bodies] == ["a", "a"]
    assert [why for why in project.told("progress") if "answered 302" in why]


@pytest.mark.parametrize("url", ["ftp://example.org/x", "https://user:secret@example.org/hook", "https://example.org/hook?token=1"])
def test_a_url_that_may_not_be_asked_is_refused_beforehand(project, url: str):
    from raypipe.core.errors import ConfigError

    with pytest.raises(ConfigError) as error:
        project.pipeline({"a": project.module.First()}, {"a": {"notify": {"url": url}}})
    assert "secret" not in str(error.value)


def test_no_secret_of_the_environment_is_told(project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRICES_API_KEY", "failure 1")
    project.run({"a": project.module.Fails()}, {"a": {"notify": {"command": [sys.executable, "-c", WRITE]}}})
    told = (project.folder / "told").read_text()
    assert "failure 1" not in told
    assert "***" in told
