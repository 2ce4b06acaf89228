"""The app of the workers' live tests.

What is asked of it stands in the query. In the file DUTY_RUNS it notes when it
begins with a request and when it has done, so that a test can tell which requests
were running in a worker that was killed.
"""
import os
import time
from urllib.parse import parse_qs

_kept = []  # what makes the process grow
_runs = []  # the descriptor of the file DUTY_RUNS, once it is open


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"], pid)
    query = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    body = page(environ, query).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def pid(environ, query):
    return str(os.getpid())


def work(environ, query):
    """Reads the body, rests, and tells id, process, length of the body and generation."""
    note("begin", query["id"])
    left, length = int(environ.get("CONTENT_LENGTH") or 0), 0
    while length < left:
        chunk = environ["wsgi.input"].read(min(left - length, 65536))
        if not chunk:
            break
        length += len(chunk)
    time.sleep(float(query.get("s", 0)))
    note("end", query["id"])
    return "%s %d %d %s" % (query["id"], os.getpid(), length, os.environ.get("DUTY_ROUND", "-"))


def note(what, request):
    if not _runs:
        _runs.append(os.open(os.environ["DUTY_RUNS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.write(_runs[0], b"%s %s %d\n" % (what.encode(), request.encode(), os.getpid()))


def grow(environ, query):
    """Keeps so many KiB for ever."""
    _kept.append(os.urandom(int(query["kib"]) << 10))
    return str(os.getpid())


def log(environ, query):
    print("a word with request_id=%s" % environ["HTTP_X_REQUEST_ID"], file=environ["wsgi.errors"], flush=True)
    print("and one without", flush=True)
    return str(os.getpid())


def who(environ, query):
    """Who the process is, and whether it can read a file."""
    try:
        with open(query["file"]) as file:
            secret = file.read()
    except OSError as error:
        secret = type(error).__name__
    groups = ",".join(str(g) for g in sorted(os.getgroups()))
    ids = "/".join(str(i) for i in os.getresuid() + os.getresgid())
    return "%s [%s] %s %s %s" % (ids, groups, os.environ.get("HOME"), os.environ.get("USER"), secret)


def orphan(environ, query):
    """Leaves a process without a parent, which ends after a while."""
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os.setsid()
            time.sleep(0.3)
        os._exit(0)
    os.waitpid(child, 0)
    return "left"


PAGES = {"/work": work, "/grow": grow, "/log": log, "/who": who, "/orphan": orphan}
