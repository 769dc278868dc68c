"""A hub in miniature on a port of this machine: models, gated ones, and a throttle. HF_ENDPOINT leads to it.

Answers as huggingface.co does (recorded 2026-11 in huggingface_hub's own tests and its hf_raise_for_status): a model
that is not there is 401 with X-Error-Code RepoNotFound for those without a token, 404 for those with one; a gated one
shows its page, and refuses its files with GatedRepo.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


@dataclass
class FakeHub:
    """models: {name: folder}. gated: names. pace: bytes after which a file's transfer waits for `go`. asked: paths."""

    models: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    token: str = "hf_good"
    pace: int = 0
    status: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    @contextmanager
    def open(self) -> Iterator[FakeHub]:
        """While it answers."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self.go.set()
            server.shutdown()
            server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        self.asked.append("/".join(parts))
        if self.status:
            self._refuse(request, self.status, "")
            return
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        known = request.headers.get("Authorization") == f"Bearer {self.token}"
        if name not in self.models:
            self._refuse(request, 404 if known else 401, "RepoNotFound")
        elif api and parts[4:5] == ["tree"]:
            self._json(request, [self._entry(file) for file in self._files(name)])
        elif name in self.gated and not known and (not api or parts[4:5] == ["auth-check"]):
            self._refuse(request, 403 if request.headers.get("Authorization") else 401, "GatedRepo")
        elif api:
            self._json(request, {} if parts[4:5] == ["auth-check"] else self._about(name))
        else:
            self._file(request, self.models[name] / "/".join(parts[4:]))

    def _files(self, name: str) -> list[Path]:
        return sorted(file for file in self.models[name].iterdir() if file.is_file())

    def _entry(self, file: Path) -> dict[str, object]:
        entry: dict[str, object] = {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _oid(file)}
        if file.suffix == ".safetensors":
            entry["lfs"] = {"oid": _oid(file), "size": file.stat().st_size, "pointerSize": 130}
        return entry

    def _about(self, name: str) -> dict[str, object]:
        config = self.models[name] / "tokenizer_config.json"
        template = json.loads(config.read_text()).get("chat_template") if config.exists() else None
        siblings: list[dict[str, object]] = []
        for file in self._files(name):
            entry = self._entry(file)
            one: dict[str, object] = {"rfilename": file.name, "size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                one["lfs"] = {"sha256": entry["oid"], "size": entry["size"], "pointerSize": 130}
            siblings.append(one)
        return {
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "gated": "manual" if name in self.gated else False,
            "private": False,
            "tags": ["license:mit"],
            "cardData": {"license": "mit"},
            "config": {"model_type": "llama", "tokenizer_config": {"chat_template": template} if template else {}},
            "safetensors": {"parameters": {"F32": 1000}, "total": 1000},
            "siblings": siblings,
        }

    def _file(self, request: BaseHTTPRequestHandler, file: Path) -> None:
        if not file.is_file():
            self._refuse(request, 404, "EntryNotFound")
            return
        data, begin = file.read_bytes(), 0
        if (asked := request.headers.get("Range", "")).startswith("bytes="):
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
        request.send_response(206 if begin else 200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{_oid(file)}"')
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(data) - begin))
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if request.command == "HEAD":
            return
        first = data[begin : begin + self.pace] if self.pace and len(data) > self.pace else data[begin:]
        try:
            request.wfile.write(first)
            request.wfile.flush()
            self.sent += len(first)
            if rest := data[begin + len(first) :]:
                self.go.wait(60)
                request.wfile.write(rest)
                self.sent += len(rest)
        except OSError:  # the one who asked is gone
            request.close_connection = True

    def _json(self, request: BaseHTTPRequestHandler, value: object) -> None:
        self._reply(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self._reply(request, status, b"{}", {"X-Error-Code": code, "X-Error-Message": code or "broken"})

    def _reply(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


def until(condition: object, seconds: float = 30) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _oid(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
