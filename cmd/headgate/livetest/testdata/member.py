"""A member of a pool: it says who it is, takes its time and does what it is told.

Its environment says more: NAME is the body of its answers, NAP how many seconds
/work takes, RUNS the file that gets a line for each run of a request with an id,
MOOD the file whose text is what becomes of /moody.
"""
import os
import signal
import time
from urllib.parse import parse_qs

NAME = os.environ.get("NAME", "").encode()
NAP = float(os.environ.get("NAP", "0"))


def application(environ, start_response):
    query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
    if "id" in query:
        with open(os.environ["RUNS"], "a", 1) as runs:
            runs.write(query["id"] + "\n")
    page = PAGES.get(environ.get("PATH_INFO"), work)
    return page(environ, start_response, query)


def work(environ, start_response, query):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if len(environ["wsgi.input"].read(length)) < length:
        raise RuntimeError("the body is short")
    time.sleep(float(query.get("s", NAP)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(NAME)))])
    return [NAME]


def moody(environ, start_response, query):
    with open(os.environ["MOOD"]) as f:
        mood = f.read()
    if mood == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if mood == "garbage":
        import uwsgi
        os.write(uwsgi.connection_fd(), b"\x00\x01 is this an answer?\r\n\r\n")
        return []
    return work(environ, start_response, query)


PAGES = {"/moody": moody}
