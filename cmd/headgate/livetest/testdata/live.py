"""The app of the live tests: deploy/examples/echo, and what breaks workers.

Every request but /~last is remembered, so that the environ of a request whose
answer has no body can be read afterwards. That needs a single process.
"""
import hashlib
import json
import os
import signal
import time
from urllib.parse import parse_qs

import echo

_last = [b"{}"]
_block = hashlib.shake_256(b"headgate").digest(1 << 20)


def application(environ, start_response):
    page = PAGES.get(environ.get("PATH_INFO"))
    if page:
        query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
        return page(environ, start_response, query)
    _last[0] = b"".join(echo.application(environ, start_response))
    return [_last[0]]


def last(environ, start_response, query):
    return _text(start_response, _last[0])


def pid(environ, start_response, query):
    return _text(start_response, str(os.getpid()).encode())


def blob(environ, start_response, query):
    """n bytes of the pattern that pattern_test.go also knows."""
    n = int(query["n"])
    headers = [("Content-Type", "application/octet-stream")]
    if "counted" in query:
        headers.append(("Content-Length", str(n)))
    start_response("200 OK", headers)
    return _pattern(n)


def _pattern(n):
    number = 0
    while n > 0:
        block = number.to_bytes(8, "big") + _block[8:]
        yield block[:n]
        n -= len(block)
        number += 1


def nap(environ, start_response, query):
    time.sleep(float(query["s"]))
    return _text(start_response, b"rested")


_runs = []  # the descriptor of the file LIVE_RUNS, once it is open


def work(environ, start_response, query):
    """Notes id and process in the file LIVE_RUNS, reads the body whole, rests, and tells what it was."""
    if not _runs:
        _runs.append(os.open(os.environ["LIVE_RUNS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.write(_runs[0], f"{query['id']} {os.getpid()}\n".encode())
    left = int(environ.get("CONTENT_LENGTH") or 0)
    length = 0
    while length < left:
        chunk = environ["wsgi.input"].read(min(left - length, 65536))
        if not chunk:
            break
        length += len(chunk)
    time.sleep(float(query["s"]))
    return _text(start_response, f"{query['id']} {os.getpid()} {length}".encode())


def die(environ, start_response, query):
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_answer(environ, start_response, query):
    start_response("200 OK", [("Content-Length", "200000")])
    yield b"x" * 100000
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


def fail(environ, start_response, query):
    raise RuntimeError("before start_response")


_asked = {}


def ask(environ, start_response, query):
    """Whether a name may have a certificate. Counts the questions; needs a single process."""
    name = query["domain"]
    _asked[name] = _asked.get(name, 0) + 1
    allowed = name.endswith(".customer.test") and environ.get("HTTP_X_HEADGATE_ASK") == "certificate"
    start_response("200 OK" if allowed else "404 Not Found", [("Content-Length", "0")])
    return []


def asked(environ, start_response, query):
    return _text(start_response, json.dumps(_asked).encode())


def _text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


PAGES = {
    "/~last": last, "/pid": pid, "/blob": blob, "/nap": nap, "/work": work,
    "/ask": ask, "/asked": asked,
    "/die": die, "/die-in-answer": die_in_answer, "/fail": fail,
}
