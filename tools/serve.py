"""Serve the built book on this machine only, compressed as a web host would."""

import argparse
import functools
import gzip
import io
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"
COMPRESSED = {".html", ".css", ".js", ".json", ".svg", ".txt"}


@functools.cache
def compressed(path: Path, modified: float) -> bytes:
    """The gzip form of a file, kept for as long as the file does not change (`modified`, seconds)."""
    return gzip.compress(path.read_bytes(), compresslevel=6)


class Handler(SimpleHTTPRequestHandler):
    """Plain files, sent as gzip where the browser takes it and the type gains from it."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() and self.path.partition("?")[0].endswith("/") else path
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (accepts and path.is_file() and path.suffix in COMPRESSED):
            return super().send_head()
        body = compressed(path, path.stat().st_mtime)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        return io.BytesIO(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about requests."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    if not (HTML / "index.html").exists():
        print("There is no built book yet; run `make book` first.", file=sys.stderr)
        return 1
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Handler, directory=str(HTML)))
    except OSError as error:
        print(
            f"Port {port} cannot be used ({error.strerror}); name another: make serve PORT=8001",
            file=sys.stderr,
        )
        return 1
    print(f"The book is at http://localhost:{server.server_port}/ (stop with Ctrl-C).", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
