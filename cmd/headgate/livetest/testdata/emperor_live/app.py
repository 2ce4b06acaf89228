"""The app of the tests of folders of apps. The environment says what is wrong with it.

CRASH ends it while it is imported, LOOP a moment after it serves, HANG never ends its
import.
"""
import os
import sys
import threading
import time
from urllib.parse import parse_qs

if os.environ.get("CRASH"):
    raise RuntimeError("the database is not there")
while os.environ.get("HANG"):
    time.sleep(1)
if os.environ.get("LOOP"):
    threading.Timer(0.3, lambda: os.kill(os.getppid(), 9)).start()


def application(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""))
    time.sleep(float(query.get("s", ["0"])[0]))
    body = " ".join([os.environ.get("HG_APP", ""), environ.get("HTTP_HOST", ""), str(os.getuid()), str(os.getpid()), sys.prefix, os.environ.get("NOTE", "")])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
