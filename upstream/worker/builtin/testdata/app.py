"""An app that does what its path says."""

import io
import os
import sys
import tempfile
import threading
import time
import wsgiref.validate

closed = []


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    return globals()["do_" + (name or "index")](environ, start_response)


def plain(start_response, text, status="200 OK"):
    body = text.encode("utf-8", "surrogateescape")
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Parts:
    """An iterable that says when it is closed."""

    def __init__(self, *parts):
        self.parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts)
        if isinstance(part, BaseException):
            raise part
        return part

    def close(self):
        closed.append(1)


def do_index(environ, start_response):
    return plain(start_response, "hello")


def do_pid(environ, start_response):
    return plain(start_response, str(os.getpid()))


def do_thread(environ, start_response):
    return plain(start_response, str(threading.current_thread() is threading.main_thread()))


def do_environ(environ, start_response):
    lines = ["%s=%r\n" % item for item in sorted(environ.items())]
    return plain(start_response, "".join(lines))


def do_closed(environ, start_response):
    count = str(len(closed))
    del closed[:]
    return plain(start_response, count)


def do_echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def do_input(environ, start_response):
    """Reads in every way."""
    stream = environ["wsgi.input"]
    got = [stream.read(0), stream.read(3), stream.readline(2), stream.readline(), stream.readlines(1),
           next(iter(stream)), stream.readline(100), stream.readlines(), stream.read(), stream.read(5), stream.readline()]
    return plain(start_response, repr(got))


def do_slow_read(environ, start_response):
    try:
        return plain(start_response, repr(environ["wsgi.input"].read()))
    except OSError as error:
        print("read raised", type(error).__mro__, flush=True)
        raise


def do_unread(environ, start_response):
    return plain(start_response, "much", "413 Too Large")


def do_parts(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Parts(b"", b"one", b"", b"two", b"x" * 100000)


def do_list(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one"]


def do_empty(environ, start_response):
    start_response("200 OK", [])
    return []


def do_generator(environ, start_response):
    start_response("200 OK", [])  # not before the first step
    yield b"a"
    yield b"b"


def do_204(environ, start_response):
    start_response("204 No Content", [])
    return [b"not to be sent"]


def do_304(environ, start_response):
    start_response("304 Not Modified", [("Content-Length", "14"), ("ETag", '"x"')])
    return Parts(b"not to be sent")


def do_write(environ, start_response):
    write = start_response("200 OK", [])
    write(b"by write, ")
    write(b"")
    return [b"by return"]


def do_more(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return Parts(b"123", b"456", b"789")


def do_less(environ, start_response):
    start_response("200 OK", [("Content-Length", "9")])
    return Parts(b"123", b"456")


def do_raise(environ, start_response):
    raise RuntimeError("raised \u2603 at once")


def do_raise_late(environ, start_response):
    start_response("200 OK", [])
    return Parts(b"begun", RuntimeError("raised late"))


def do_raise_counted(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return Parts(b"begun", RuntimeError("raised counted"))


def do_raise_started(environ, start_response):
    start_response("200 OK", [("X-Lost", "yes")])
    return Parts(RuntimeError("raised before the head was sent"))


def do_close_raises(environ, start_response):
    class Raises(Parts):
        def close(self):
            Parts.close(self)
            raise RuntimeError("raised by close")
    start_response("200 OK", [])
    return Raises(b"whole")


def do_exit(environ, start_response):
    sys.exit("an app that exits")


def do_interrupt(environ, start_response):
    raise KeyboardInterrupt


def do_memory(environ, start_response):
    raise MemoryError


def do_exc_info(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("first")
    except ValueError:
        start_response("503 Later", [("X-Second", "2")], sys.exc_info())
    return [b"sorry"]


def do_exc_info_late(environ, start_response):
    start_response("200 OK", [])(b"begun")
    try:
        raise ValueError("too late for another head")
    except ValueError:
        start_response("503 Later", [], sys.exc_info())
    return [b"sorry"]


# What start_response refuses. The query says which.
REFUSED = {
    "twice": ("200 OK", []),
    "bytes": (b"200 OK", []),
    "short": ("200", []),
    "interim": ("100 Continue", []),
    "line": ("200 OK\r\nX: y", []),
    "tuple": ("200 OK", (("X", "y"),)),
    "name": ("200 OK", [("X Y", "y")]),
    "no-name": ("200 OK", [("", "y")]),
    "colon": ("200 OK", [("X:", "y")]),
    "value": ("200 OK", [("X", "y\r\nSet-Cookie: a=b")]),
    "lf": ("200 OK", [("X", "y\n")]),
    "nul": ("200 OK", [("X", "y\0")]),
    "wide": ("200 OK", [("X", "\u2603")]),
    "number": ("200 OK", [("X", 5)]),
    "name-bytes": ("200 OK", [(b"X", b"y")]),
    "three": ("200 OK", [("X", "y", "z")]),
    "encoding": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "length": ("200 OK", [("Content-Length", "-1")]),
    "lengths": ("200 OK", [("Content-Length", "1"), ("content-length", "2")]),
}


def do_refused(environ, start_response):
    status, headers = REFUSED[environ["QUERY_STRING"]]
    start_response(status, headers)
    if environ["QUERY_STRING"] == "twice":
        start_response(status, headers)
    return [b"wrong"]


def do_text(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


def do_text_late(environ, start_response):
    start_response("200 OK", [])
    return Parts(b"bytes", "text")


def do_no_start(environ, start_response):
    return [b"wrong"]


def do_none(environ, start_response):
    start_response("200 OK", [])


def do_hop(environ, start_response):
    start_response("200 OK", [("Connection", "keep-alive"), ("X-Latin", "caf\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"ok"]


def do_hints(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
    result = plain(start_response, "after")
    return result


def open_file(size):
    file = tempfile.TemporaryFile()
    file.write(bytes(i % 251 for i in range(1000)) * (size // 1000))
    file.seek(0)
    return file


def do_file(environ, start_response):
    file = open_file(3000000)
    file.seek(1000)
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](file, 4096)


def do_file_counted(environ, start_response):
    file = open_file(3000)
    file.read(10)  # its buffer is ahead of that
    start_response("200 OK", [("Content-Length", "5")])
    return environ["wsgi.file_wrapper"](file)


def do_file_short(environ, start_response):
    start_response("200 OK", [("Content-Length", "5000")])
    return environ["wsgi.file_wrapper"](open_file(3000))


def do_file_memory(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"))


def do_file_gzip(environ, start_response):
    import gzip
    file = tempfile.NamedTemporaryFile(suffix=".gz")
    with gzip.open(file.name, "wb") as out:
        out.write(b"decompressed")
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](gzip.open(file.name))


def do_file_pipe(environ, start_response):
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))


def do_print(environ, start_response):
    print("printed \u2603 \udcff")
    print("to errors", file=environ["wsgi.errors"])
    sys.stdout.write("half a ")
    sys.stdout.write("line\n")
    return plain(start_response, "")


def do_big(environ, start_response):
    """Sends until nobody reads."""
    start_response("200 OK", [])
    return Parts(*[b"x" * 65536] * 1000)


def do_sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    return plain(start_response, str(os.getpid()))


def do_hang(environ, start_response):
    print("hanging", flush=True)
    while True:
        time.sleep(1)


def do_eat(environ, start_response):
    closed.append(b"x" * (64 << 20))
    return plain(start_response, str(os.getpid()))


def do_crash(environ, start_response):
    os.kill(os.getpid(), 9)


def do_descriptors(environ, start_response):
    """What a program that the app runs has."""
    import subprocess
    return plain(start_response, subprocess.check_output(
        [sys.executable, "-c", "import os; print(*[os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if n > '2'])"],
        close_fds=False, universal_newlines=True))


def do_fork(environ, start_response):
    """What a fork of the app has: the sockets of the server, and not only the connection."""
    before = descriptors()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(before - descriptors() + 2).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return plain(start_response, os.read(reader, 100).decode())


def do_terminate(environ, start_response):
    """How a fork of the app ends by SIGTERM, as multiprocessing wants it."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.05)
    os.kill(pid, 15)
    return plain(start_response, str(os.waitpid(pid, 0)[1]))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def do_signals(environ, start_response):
    """How a program that the app runs treats signals."""
    import subprocess
    return plain(start_response, subprocess.check_output(["grep", "Sig[BI]", "/proc/self/status"], universal_newlines=True))


def do_main(environ, start_response):
    import __main__
    return plain(start_response, repr((sys.argv, sys.path[0], os.getcwd(), hasattr(__main__, "Master"), os.listdir("/proc/self/fd"))))


@wsgiref.validate.validator
def do_valid(environ, start_response):
    """Everything that PEP 3333 has, before the eyes of wsgiref."""
    stream = environ["wsgi.input"]
    got = [stream.read(2), stream.readline(), stream.readline(3)] + stream.readlines() + list(stream)
    environ["wsgi.errors"].write("valid\n")
    environ["wsgi.errors"].writelines(["so ", "valid\n"])
    environ["wsgi.errors"].flush()
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Count", str(len(got)))])
    write(b"written, ")
    return Parts(b"".join(got), b", returned")


def factory(*args, **named):
    def app(environ, start_response):
        return plain(start_response, "made with %r %r" % (args, named))
    return app


class Space:
    inner = staticmethod(application)


validated = wsgiref.validate.validator(application)
