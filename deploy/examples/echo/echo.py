"""A WSGI app that answers with the environ it was called with, as sorted JSON.

    uwsgi --plugin python3 --socket /run/echo.sock --wsgi-file echo.py

A query of "body=1" adds the length and the SHA-256 of the request body. Values
that are no strings are left out, except wsgi.multithread and its like.
"""
import hashlib
import json
from urllib.parse import parse_qs


def application(environ, start_response):
    seen = {k: v for k, v in environ.items() if isinstance(v, (str, bool))}
    if parse_qs(environ.get("QUERY_STRING", "")).get("body") == ["1"]:
        seen.update(_body(environ))
    answer = json.dumps(seen, indent=1, sort_keys=True).encode() + b"\n"
    start_response("200 OK", [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(answer))),
    ])
    return [answer]


def _body(environ):
    left = int(environ.get("CONTENT_LENGTH") or 0)
    digest, length = hashlib.sha256(), 0
    while left > 0:
        chunk = environ["wsgi.input"].read(min(left, 65536))
        if not chunk:
            break
        digest.update(chunk)
        length += len(chunk)
        left -= len(chunk)
    return {"echo.body_bytes": str(length), "echo.body_sha256": digest.hexdigest()}
