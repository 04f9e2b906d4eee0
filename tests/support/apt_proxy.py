# SPDX-License-Identifier: GPL-3.0-or-later
"""How this machine reaches Debian's mirrors, and a proxy of our own on the way, which keeps
every package it was once asked for.
"""

import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile

TIMEOUT = 120
PASSED_ON = ("If-Modified-Since", "If-Range", "Range", "Cache-Control", "User-Agent")
PASSED_BACK = ("Content-Length", "Content-Range", "Content-Type", "Last-Modified", "ETag")


def environment() -> dict[str, str]:
    """This process's environment, with the proxy that apt uses for those who, as mmdebstrap,
    don't read apt's configuration.
    """
    command = [
        "apt-config",
        "shell",
        "http_proxy",
        "Acquire::http::Proxy",
        "https_proxy",
        "Acquire::https::Proxy",
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return os.environ | dict(re.findall(r"^(\w+)='(.+)'$", said, re.MULTILINE))


@contextmanager
def caching(directory: Path) -> Iterator[str]:
    """For the block, an HTTP proxy for apt; its URL. What never changes under its name,
    packages, is kept in `directory`.

    What is kept needs no trust: apt compares each package with the signed list.
    """
    proxies = {
        name.removesuffix("_proxy"): url
        for name, url in environment().items()
        if name in ("http_proxy", "https_proxy")
    }
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))

    class Handler(_Handler):
        kept = directory
        open = opener.open

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: Path
    open: staticmethod  # type: ignore[type-arg]

    def do_GET(self) -> None:
        if not self.path.startswith("http://"):
            self.send_error(HTTPStatus.BAD_REQUEST)
        elif self.path.endswith(".deb") and "Range" not in self.headers:
            self._package(self.kept / self.path.removeprefix("http://").replace("..", "_"))
        else:
            self._relay(None)

    def _package(self, path: Path) -> None:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._relay(path)
            return
        with path.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)

    def _relay(self, keep: Path | None) -> None:
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        request = urllib.request.Request(self.path, headers=headers)  # noqa: S310 - http
        try:
            answer = self.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError as error:
            self.send_error(HTTPStatus.BAD_GATEWAY, str(error).splitlines()[0])
            return
        with answer:
            self.send_response(answer.status)
            for name in PASSED_BACK:
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            if "Content-Length" not in answer.headers:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if keep is None or answer.status != HTTPStatus.OK:
                shutil.copyfileobj(answer, self.wfile)
                return
            with NamedTemporaryFile(dir=keep.parent, delete=False) as partial:
                while chunk := answer.read(1 << 16):
                    partial.write(chunk)
                    self.wfile.write(chunk)
            if os.path.getsize(partial.name) == int(answer.headers.get("Content-Length", -1)):
                os.replace(partial.name, keep)
            else:
                os.unlink(partial.name)

    def log_message(self, *_: object) -> None:
        """Say nothing: apt does."""
