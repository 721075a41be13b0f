#!/usr/bin/env python3
"""A service that answers Hedgerow's messages, with Python's standard library alone.

    python3 service.py --port 9000 --key-file callback.key
    hedgerow serve --on-send http://127.0.0.1:9000/send --on-broadcast http://127.0.0.1:9000/broadcast \
        --callback-key-file callback.key
"""

import argparse
import collections
import concurrent.futures
import hashlib
import hmac
import http.server
import threading
import time

WINDOW_S = 300  # what was signed longer ago, or so far in the future, is refused
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_REMEMBERED = 10_000


def is_genuine(method, target, headers, body, keys, now):
    """Whether Hedgerow sent the request with one of the keys, and lately. `headers` are pairs."""
    named = [(name.lower(), value) for name, value in headers]
    values = dict(named)
    signed = [
        f"{name}:{value}"
        for name, value in named
        if name.startswith("hedgerow-") and name != "hedgerow-signature"
    ]
    text = "\n".join([method, target, *sorted(signed), hashlib.sha256(body).hexdigest()]).encode()
    timestamp = values.get("hedgerow-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > WINDOW_S:
        return False
    given = values.get("hedgerow-signature", "").split(",")
    expected = ["v1=" + hmac.new(key, text, hashlib.sha256).hexdigest() for key in keys]
    # compare_digest takes as long for every guess.
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given)


class Replies:
    """What became of the latest messages: one that comes again, as a later attempt, is not worked on twice."""

    def __init__(self):
        self._lock = threading.Lock()
        self._outcomes = collections.OrderedDict()

    def of(self, message_id, work):
        with self._lock:
            outcome = self._outcomes.get(message_id)
            is_new = outcome is None
            if is_new:
                outcome = self._outcomes[message_id] = concurrent.futures.Future()
                if len(self._outcomes) > MAX_REMEMBERED:
                    self._outcomes.popitem(last=False)
        if is_new:
            try:
                outcome.set_result(work())
            except Exception as error:
                outcome.set_exception(error)
        return outcome.result()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open, for the next message
    disable_nagle_algorithm = True

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return self.answer(413, b"content-length is missing or over 4 MiB")
        body = self.rfile.read(int(length))
        genuine = is_genuine(
            self.command, self.path, self.headers.items(), body, self.server.keys, time.time()
        )
        if not genuine:
            return self.answer(401, b"the signature is not right")
        try:
            reply = self.server.replies.of(self.headers["hedgerow-id"], lambda: self.work(body))
        except Exception as error:
            return self.answer(500, str(error).encode())  # its first line is what the sender is told
        self.answer(200, reply)

    def work(self, body):
        """The work itself."""
        kind, node = self.headers["hedgerow-kind"], self.headers["hedgerow-node"]
        attempt = self.headers["hedgerow-attempt"]
        return f"{kind} by python at {node}, attempt {attempt}: ".encode() + body

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: messages are not for logs."""


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, keys):
        super().__init__(("127.0.0.1", port), Handler)
        self.keys = keys
        self.replies = Replies()


def main():
    parser = argparse.ArgumentParser(description="Answers Hedgerow's messages.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", required=True, help="a key per line, as --callback-key-file")
    options = parser.parse_args()
    with open(options.key_file, "rb") as file:
        lines = [line.strip() for line in file]
    keys = [line for line in lines if line and not line.startswith(b"#")]
    service = Service(options.port, keys)
    print(f"listening on http://127.0.0.1:{options.port}", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
