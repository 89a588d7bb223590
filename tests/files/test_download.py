"""Files from the internet are whole, checked and downloaded once, or not there."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from odnbench.errors import OdnbenchError
from odnbench.files.download import download

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(HTTPServer):
    """Serves CONTENT under any path, and counts; "/short" ends in the middle."""

    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(404 if self.path == "/absent.npz" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if self.path == "/short.npz" else CONTENT)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def url(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def test_a_file_is_downloaded_once_and_again_when_it_was_damaged(
    server: Server, tmp_path: Path
) -> None:
    path = download(url(server, "a%20b.npz"), SHA256, tmp_path)
    assert path == tmp_path / SHA256 / "a b.npz"
    assert path.read_bytes() == CONTENT
    assert download(url(server, "a%20b.npz"), SHA256, tmp_path) == path
    assert server.asked == 1
    path.write_bytes(b"damaged")
    assert download(url(server, "a%20b.npz"), SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked == 2


@pytest.mark.parametrize(
    ("name", "sha256", "told"),
    [
        ("other.npz", "0" * 64, f"has the checksum {SHA256}, not 0000"),
        ("short.npz", SHA256, "not the file that was meant, or was damaged|cannot be downloaded"),
        ("absent.npz", SHA256, r"cannot be downloaded \(.*Not Found\); give a local file"),
        ("", SHA256, "must end in the name of a file"),
    ],
)
def test_another_content_is_told_and_nothing_is_kept(
    server: Server, tmp_path: Path, name: str, sha256: str, told: str
) -> None:
    with pytest.raises(OdnbenchError, match=told):
        download(url(server, name), sha256, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"cannot be downloaded .*refused"):
        download("http://127.0.0.1:9/a.npz", SHA256, tmp_path)
