"""Does at its import what the file $FLAKY says."""

import os

with open(os.environ["FLAKY"]) as file:
    exec(file.read())


def app(environ, start_response):
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
