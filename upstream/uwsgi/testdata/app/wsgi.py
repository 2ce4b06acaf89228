"""The app of the integration tests: what it does is in the path."""

import json
import os
import time


def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/environ":
        body = json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
    if path == "/raise":
        raise RuntimeError("before the first byte")
    if path == "/kill":
        os.kill(os.getpid(), 9)
    if path == "/early":
        start_response("413 Too Large", text + [("Content-Length", "4")])
        return [b"much"]
    if path == "/304":
        start_response("304 Not Modified", text)
        return [b"hello"]
    if path == "/chunked":
        start_response("200 OK", text + [("Transfer-Encoding", "chunked")])
        return [b"5\r\nhello\r\n", b"7\r\n, world\r\n", b"0\r\n\r\n"]
    if path == "/slow":
        time.sleep(0.5)
    if path == "/once":  # says who ran what, and only then reads the body
        with open(environ["QUERY_STRING"], "ab", buffering=0) as log:
            log.write(f"{os.getpid()} {environ['HTTP_X_ID']}\n".encode())
        environ["wsgi.input"].read()
        time.sleep(0.005)
    if path == "/hold":  # until the file exists that the query names
        environ["wsgi.input"].read()
        while not os.path.exists(environ["QUERY_STRING"]):
            time.sleep(0.01)
    if path == "/read":
        environ["wsgi.input"].read()
    if path == "/echo":
        start_response("200 OK", text)
        return echo(environ)
    start_response("200 OK", text)
    return [b"hello ", path.encode("latin-1")]


def echo(environ):
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            return
        yield piece
