"""A WSGI server (PEP 3333) that speaks the uwsgi protocol on a socket that it inherits.

The master forks workers and looks after them; each worker imports the app and serves with
one or more threads. A thread accepts a connection only when it is free, so the number of
threads is exactly the number of requests that run. A connection carries one request.

Between the master and a worker is a pair of sockets. The worker writes what it has to say
("r": ready, "w": worn, replace me, "e" and a text: the app cannot be imported). The master
writes nothing: that its end is closed, by itself or by its death, tells the worker to go.

Standard library only, Python 3.8 or newer.
"""

import argparse
import ast
import faulthandler
import io
import itertools
import os
import random
import re
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
import traceback

NAME = "headgate-builtin"
STATUS_IMPORT = 3  # no worker can import the app
STATUS_ARGUMENTS = 4

PACKET = 4 + 65535  # header and variables of a uwsgi packet, at most
SILENCE = 30  # seconds that a client may be silent in the middle of a request
DRAIN_BYTES, DRAIN_SECONDS = 1 << 20, 1  # of a body that the app left unread
COALESCE = 64 << 10  # up to so many bytes are copied to save a system call
MODIFIER_WSGI, MODIFIER_PING = 0, 100
PONG = b"\x64\x00\x00\x01"  # as the ping plugin of uWSGI answers

YOUNG = 1.0  # seconds of serving; the next start after the death of a younger one waits,
LONGEST_WAIT = 5.0  # so long at most, and YOUNG if it served at all
MOST_PROCESSES = 1024
PR_SET_PDEATHSIG = 1  # prctl(2)

# As they are now: an app that patches them, as gevent does, does so for itself.
Socket, Poller = socket.socket, getattr(select, "epoll", select.poll)
EXCLUSIVE = getattr(select, "EPOLLEXCLUSIVE", 0)

# ---- Talk ---------------------------------------------------------------------------------


def emit(text):
    """Writes a text to stderr at once, so that lines of processes and threads do not mix."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(2, data):]
    except OSError:  # nobody reads
        pass


def log(text, more=""):
    """Writes one line; what a client has sent may be in it. More is written as it is."""
    emit("%s: %s\n%s" % (NAME, "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), more))


def trace(error):
    """Returns the traceback of an error, without the frames of this file that led to the app."""
    tb = error.__traceback__
    while tb and tb.tb_frame.f_code.co_filename == __file__ and tb.tb_next:
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb))


# ---- The request --------------------------------------------------------------------------


class ClientGone(ConnectionResetError):
    """The peer has closed the connection, or is silent for too long."""


class Malformed(Exception):
    """What came is no request; the text says why."""


def set_silence(conn, seconds):
    """Bounds each read. The kernel's own timeout needs no poll before each, as Python's does."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", seconds, 0))


def receive(conn):
    """Reads a packet. Returns modifier1, the block of variables and what came behind it.

    All is None when the peer has closed without a word.
    """
    try:
        data = conn.recv(PACKET, socket.MSG_DONTWAIT)  # nearly always it is all there
    except BlockingIOError:
        set_silence(conn, SILENCE)
        data = conn.recv(PACKET)
    if not data:
        return None, None, None
    if len(data) < 4 or len(data) < 4 + data[1] + (data[2] << 8):
        data = receive_rest(conn, data)
    end = 4 + data[1] + (data[2] << 8)
    return data[0], data[4:end], data[end:]


def receive_rest(conn, data):
    """Reads on until the packet is whole. Its time is bounded, not only that of each read."""
    set_silence(conn, SILENCE)
    deadline = time.monotonic() + SILENCE
    while len(data) < 4 or len(data) < 4 + data[1] + (data[2] << 8):
        more = conn.recv(PACKET)
        if not more:
            raise Malformed("it is cut after %d bytes" % len(data))
        if time.monotonic() > deadline:
            raise Malformed("it took more than %d s" % SILENCE)
        data += more
    return data


def parse(block):
    """Returns the variables of a block. As with uWSGI the last one of a name counts."""
    text = block.decode("latin-1")  # PEP 3333: bytes in the clothes of a str
    environ, at, end = {}, 0, len(block)
    try:
        while at < end:
            start = at + 2
            at = start + block[at] + (block[at + 1] << 8)
            key = text[start:at]
            start = at + 2
            at = start + block[at] + (block[at + 1] << 8)
            environ[key] = text[start:at]
    except IndexError:
        at = -1
    if at != end:
        raise Malformed("a variable runs past the end of the block of %d bytes" % end)
    if not environ or "" in environ:
        raise Malformed("a variable has no name" if environ else "it has no variables")
    trim(environ, block)
    return environ


def trim(environ, block):
    """Drops what controls uWSGI. It keeps the scheme, which uWSGI shows the app too."""
    if block.count(b"UWSGI_") > ("UWSGI_SCHEME" in environ):  # which is seldom
        for key in [key for key in environ if key.startswith("UWSGI_") and key != "UWSGI_SCHEME"]:
            del environ[key]


def scheme_of(environ):
    """As uWSGI finds it, but that no header of a client's counts (X-Forwarded-Proto)."""
    scheme = environ.get("UWSGI_SCHEME")
    if scheme:
        return scheme
    https = environ.get("HTTPS", "").lower()
    return "https" if https.startswith("on") or https.startswith("1") else "http"


LENGTH = re.compile(r"[0-9]*")


def length_of(environ):
    """As uWSGI reads it: the digits at the beginning."""
    return int(LENGTH.match(environ.get("CONTENT_LENGTH", ""))[0][:18] or 0)


class Body(io.RawIOBase):
    """The body of a request: what came with the packet, then the connection."""

    def __init__(self, conn, head, length):
        self.conn = conn
        self.head = head[:length]
        self.left = length - len(self.head)  # bytes that are still to come
        set_silence(conn, SILENCE)

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.head:
            n = min(len(buffer), len(self.head))
            buffer[:n], self.head = self.head[:n], self.head[n:]
            return n
        return self.take(memoryview(buffer)[:self.left]) if self.left else 0

    def readall(self):
        parts, self.head = [self.head], b""
        while self.left:
            part = bytearray(min(self.left, 1 << 20))
            n = self.take(part)
            parts.append(memoryview(part)[:n])
        return b"".join(parts)

    def take(self, buffer):
        try:
            n = self.conn.recv_into(buffer)
        except BlockingIOError:
            raise ClientGone("no byte of the request's body within %d s" % SILENCE) from None
        except OSError as error:
            raise ClientGone("the client went away in its body: %s" % error) from None
        if not n:
            raise ClientGone("the client went away, %d bytes before the end of its body" % self.left)
        self.left -= n
        return n

    def drain(self):
        """Throws away what the app did not want, so that closing does not reset the answer."""
        set_silence(self.conn, DRAIN_SECONDS)
        self.conn.shutdown(socket.SHUT_WR)
        deadline, room = time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES
        waste = bytearray(64 << 10)
        while self.left and room > 0 and time.monotonic() < deadline:
            room -= self.take(memoryview(waste)[:self.left])


# ---- The response -------------------------------------------------------------------------

STATUS = re.compile(r"[2-9][0-9][0-9] [\t\x20-\x7e\x80-\xff]*")
FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")
# Fields of one connection. Many an app sends "Connection: keep-alive" with its events, so
# they are left out and not refused; but who says Transfer-Encoding has encoded its body.
HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "trailers", "upgrade", "transfer-encoding"))
SPECIAL = HOP_BY_HOP | {"content-length"}
told = set()  # of HOP_BY_HOP, to say it once


def render(headers):
    """Returns the fields as they are sent, and the Content-Length or None. It raises for
    what an app must not send (PEP 3333)."""
    if not isinstance(headers, list):
        raise TypeError("the headers are a %s: give a list of tuples" % type(headers).__name__)
    lines, length = [], None
    for field in headers:
        name, value = field
        line = name + ": " + value + "\r\n"  # a TypeError says what is no str
        if name.lower() in SPECIAL:
            if name.lower() != "content-length":
                leave_out(name)
                continue
            if length is not None:
                raise ValueError("Content-Length is given twice")
            length = parse_length(value)
        lines.append(line)
    text = "".join(lines)
    # One match for all is fast. That the lines are as many as the fields tells that no
    # field has a line end that begins a good line.
    if not FIELDS.fullmatch(text) or text.count("\n") != len(lines):
        refuse(headers)
    return text, length


def parse_length(value):
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError("Content-Length is %r: give a number" % value)
    return int(value)


def leave_out(name):
    if name.lower() == "transfer-encoding":
        raise ValueError("Transfer-Encoding is set by the app: leave it to the server")
    if name not in told and len(told) < 32:
        told.add(name)
        log("the app sends %s, which is of one connection (PEP 3333): it is left out" % name)


def refuse(headers):
    for name, value in headers:
        if not FIELD_NAME.fullmatch(name):
            raise ValueError("%r is no name of a header field" % name)
        if not FIELD_VALUE.fullmatch(value):
            raise ValueError("the value of %s has a character that no header may have: %r" % (name, value))
    raise ValueError("a header field is not as RFC 9110 has it")


class FileWrapper:
    """wsgi.file_wrapper: a file is sent by the kernel, everything else is read in blocks."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return iter(lambda: self.filelike.read(self.blksize), b"")

    def regular(self):
        """Returns descriptor, offset and bytes behind it, or None when it is no plain file.

        The descriptor of a gzip.GzipFile is that of what is compressed, so only what the
        io module itself opens will do.
        """
        raw = getattr(self.filelike, "raw", self.filelike)
        if not isinstance(raw, io.FileIO) or not hasattr(os, "sendfile"):
            return None
        try:
            fd, at = raw.fileno(), self.filelike.tell()
            info = os.fstat(fd)
        except (OSError, ValueError):
            return None
        return (fd, at, max(0, info.st_size - at)) if stat.S_ISREG(info.st_mode) else None


class Exchange:
    """One request and its answer."""

    __slots__ = ("conn", "environ", "fields", "status", "left", "sent", "chunked", "bodyless", "cut")

    def __init__(self, conn, environ):
        self.conn = conn
        self.environ = environ
        self.status = None  # that the app has given
        self.fields = ""
        self.left = None  # bytes of the body that Content-Length still wants
        self.sent = False  # the head
        self.chunked = False
        self.bodyless = environ.get("REQUEST_METHOD") == "HEAD"
        self.cut = False  # the answer is not whole: reset, do not close

    def run(self, app):
        """Serves the request. It returns the exception of an app that has raised."""
        result = None
        try:
            try:
                result = app(self.environ, self.start_response)
                self.deliver(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except ClientGone as error:
            self.cut = True
            return error
        except BaseException as error:  # SystemExit too: an app does not end its server
            log("%s: the app has raised %s" % (self.name(), type(error).__name__), trace(error))
            self.apologize()
            return error
        return None

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle
        elif self.status is not None:
            raise AssertionError("start_response is called again without exc_info")
        if not isinstance(status, str) or not STATUS.fullmatch(status):
            raise ValueError("the status is %r: give a str such as '200 OK'" % (status,))
        self.fields, self.left = render(headers)
        self.status = status
        return self.write

    def early_hints(self, headers):
        """wsgi.early_hints, as gunicorn has it: sends a 103, unless the answer has begun."""
        if not self.sent:
            fields, _ = render(list(headers))
            self.send(b"HTTP/1.1 103 Early Hints\r\n" + fields.encode("latin-1") + b"\r\n")

    def deliver(self, result):
        if type(result) in (list, tuple):
            return self.deliver_whole(result)
        if type(result) is FileWrapper and self.deliver_file(result):
            return None
        for data in result:
            if data or type(data) is not bytes:
                self.write(data)
                if self.bodyless:  # the head is out, and nothing else is wanted
                    break
        return self.finish()

    def deliver_whole(self, result):
        """Its length is known, whether the app says it or not."""
        length = sum(map(len, result))
        if length <= COALESCE:
            result = [b"".join(result)]
        for data in result:
            self.write(data, length)
        self.finish()

    def deliver_file(self, wrapper):
        """Sends a plain file; it reports whether it is one."""
        file = wrapper.regular()
        if file is None or self.status is None or self.sent:
            return False
        fd, at, size = file
        head = self.begin(size)
        self.send(head)
        if not self.bodyless:
            self.sendfile(fd, at, min(size, self.left))
        self.finish()
        return True

    def sendfile(self, fd, at, size):
        while size > 0:
            try:
                n = os.sendfile(self.conn.fileno(), fd, at, min(size, 1 << 30))
            except (BrokenPipeError, ConnectionResetError) as error:
                raise ClientGone(str(error)) from None
            except OSError:  # not from such a file system
                data = os.pread(fd, min(size, COALESCE), at)
                n = len(data)
                self.send(data)
            if not n:
                break  # the file has become shorter
            at, size, self.left = at + n, size - n, self.left - n

    def write(self, data, length=None):
        """Sends a part of the body, the first one together with the head."""
        if type(data) is not bytes:
            raise TypeError("the app gives a %s for its body: give bytes" % type(data).__name__)
        head = b"" if self.sent else self.begin(length)
        if self.bodyless:
            data = b""
        elif self.left is not None:
            if len(data) > self.left:
                log("%s: the app sends more than its Content-Length: the rest is dropped" % self.name())
                data = data[:self.left]
            self.left -= len(data)
        if self.chunked and data:
            self.send(head + b"%x\r\n" % len(data), data, b"\r\n")
        elif head or data:
            self.send(head, data)

    def begin(self, length=None):
        """Returns the head. Without a Content-Length of the app's it is length, if known."""
        if self.status is None:
            raise AssertionError("the app has not called start_response")
        self.sent = True
        framing = ""
        self.bodyless = self.bodyless or self.status[:3] in ("204", "304")
        if not self.bodyless and self.left is None:
            if length is not None:
                self.left, framing = length, "Content-Length: %d\r\n" % length
            else:
                self.chunked, framing = True, "Transfer-Encoding: chunked\r\n"
        return ("HTTP/1.1 %s\r\n%s%s\r\n" % (self.status, self.fields, framing)).encode("latin-1")

    def finish(self):
        if not self.sent:
            self.send(self.begin(0))
        if self.chunked:
            self.send(b"0\r\n\r\n")
            self.chunked = False  # nothing is open any more
        elif self.left and not self.bodyless:
            log("%s: the app sends %d bytes less than its Content-Length: the connection is reset" % (self.name(), self.left))
            self.cut = True

    def apologize(self):
        """Answers for an app that has raised, if that can still be done."""
        if self.sent:
            self.cut = self.chunked or bool(self.left)
            return
        text = b"" if self.bodyless else b"Internal Server Error\n"
        try:
            self.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\n" + text)
        except ClientGone:
            self.cut = True

    def send(self, *parts):
        try:
            if sum(map(len, parts)) <= COALESCE:
                self.conn.sendall(b"".join(parts))
                return
            sent = self.conn.sendmsg(parts)
            for part in parts:
                if sent < len(part):
                    self.conn.sendall(memoryview(part)[sent:])
                sent = max(0, sent - len(part))
        except OSError as error:
            raise ClientGone(str(error)) from None

    def name(self):
        """Names the request in the log."""
        get = self.environ.get
        return "request %s: %s %s" % (get("HTTP_X_REQUEST_ID", "-"), get("REQUEST_METHOD", "-"), get("PATH_INFO", ""))


# ---- The worker ---------------------------------------------------------------------------


class Worker:
    """A process that serves. It lives until its control socket ends, or by SIGTERM."""

    def __init__(self, options, listener, control):
        self.options = options
        self.listener = listener
        self.kind = int(listener.family), int(listener.type), listener.proto
        self.control = control
        self.master = os.getppid()
        self.app = None
        self.leaving = False
        self.worn = False
        self.served = itertools.count(1)
        self.limit = 0
        self.look_at = 0.0  # when to look at the memory again
        self.base = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": options.threads > 1,
            "wsgi.multiprocess": options.processes > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }

    def run(self):
        """Serves until the end, and returns the status of the process."""
        self.prepare()
        try:
            self.app = load(self.options.app)
            if self.options.wrap:
                self.app = load(self.options.wrap)(self.app)
        except BaseException as error:  # SystemExit too
            self.tell(b"e" + trace(error).encode("utf-8", "backslashreplace"))
            if sys.stdout is not None:
                sys.stdout.flush()
            os._exit(STATUS_IMPORT)  # whatever threads the app may have started
        signal.signal(signal.SIGTERM, lambda *_: self.leave())  # until now it ends at once
        if self.options.max_requests:  # not all workers at the same time
            self.limit = max(1, round(self.options.max_requests * random.uniform(0.9, 1.1)))
        self.tell(b"r")
        self.serve()
        self.await_threads()
        return 0

    def await_threads(self):
        """Tells for whom Python waits before it ends: threads of the app."""
        names = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
        if names:
            log("worker %d has served, and waits up to %g s for threads of the app (%s): those that never end are started with daemon=True"
                % (os.getpid(), self.options.stop, ", ".join(names[:5])))

    def prepare(self):
        """Makes the process a worker of its own: what the master has set up is undone."""
        signal.set_wakeup_fd(-1)
        # The handlers of the master, which do nothing, stay for what a terminal sends to all.
        # They do not stay in programs that the app runs, as SIG_IGN does.
        for sig in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        die_with_parent()
        faulthandler.enable(file=2, all_threads=False)
        os.register_at_fork(after_in_child=self.disown)

    def disown(self):
        """Takes from a child of the app's, as of multiprocessing, what is the server's."""
        self.listener.close()
        self.control.close()
        for sig in Master.SIGNALS:
            signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)

    def tell(self, message):
        try:
            self.control.sendall(message)
        except OSError:  # the master is gone
            pass

    def leave(self):
        """Begins the end: threads that are free return, others when they are."""
        if not self.leaving:
            self.leaving = True
            faulthandler.dump_traceback_later(max(self.options.stop, 0.001), exit=True, file=2)
            threading.Thread(target=follow, args=(self.master,), name=NAME + "-follow", daemon=True).start()
            try:
                self.control.shutdown(socket.SHUT_RD)  # wakes the threads
            except OSError:
                pass

    def serve(self):
        if self.options.threads == 1:
            return self.loop()  # in the main thread, as an app may expect that uses signals
        threads = [threading.Thread(target=self.loop, name="%s-%d" % (NAME, n + 1), daemon=True)
                   for n in range(self.options.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def loop(self):
        """Serves connections, one after the other."""
        # An exclusive wait wakes one thread for a connection, not all of all processes. The
        # kernel takes the first of its queue. So that one process does not get all while the
        # threads of another are free, each thread queues up anew; a single one need not.
        poller = Poller()
        control, listener = self.control.fileno(), self.listener.fileno()
        poller.register(control, select.POLLIN)
        poller.register(listener, select.POLLIN | EXCLUSIVE)
        while not self.leaving:
            ready = poller.poll()
            if self.options.threads > 1 or len(ready) > 1:
                poller.unregister(listener)
            if ready[0][0] == control or len(ready) > 1:
                self.leave()
            # Also when leaving: a wake that no accept follows is lost to the others.
            conn = self.accept()
            if conn is not None:
                self.handle(conn)
            if self.options.threads > 1 and not self.leaving:
                poller.register(listener, select.POLLIN | EXCLUSIVE)

    def accept(self):
        """Returns a connection, or None when another thread was faster."""
        try:
            # As socket.accept does it, less the time that its enums take.
            fd, _ = self.listener._accept()
            conn = Socket(*self.kind, fileno=fd)
            if sys.platform != "linux":  # where it is as the listening socket is
                conn.setblocking(True)
            return conn
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:  # no descriptors, no memory
            log("worker %d cannot accept: %s" % (os.getpid(), error))
            time.sleep(0.5)
            return None

    def handle(self, conn):
        """Serves a connection, whatever comes."""
        body = None
        try:
            modifier, block, rest = receive(conn)
            if modifier == MODIFIER_WSGI:
                body = self.answer(conn, parse(block), rest)
            elif modifier == MODIFIER_PING:
                conn.sendall(PONG)
            elif modifier is not None:
                raise Malformed("its modifier1 is %d" % modifier)
            if body is not None and body.left:
                body.drain()
        except Malformed as error:
            log("a packet is refused: %s" % error)
        except OSError as error:
            self.debug("a client is gone: %s" % error)
        except Exception as error:
            log("a fault of the server", trace(error))
        finally:
            conn.close()

    def answer(self, conn, environ, rest):
        """Runs the app. It returns the body of the request if it may have to be drained."""
        length = length_of(environ)
        if len(rest) >= length:
            body, environ["wsgi.input"] = None, io.BytesIO(rest[:length])
        else:
            body = Body(conn, rest, length)
            environ["wsgi.input"] = io.BufferedReader(body, 64 << 10)
        exchange = Exchange(conn, environ)
        environ["wsgi.url_scheme"] = scheme_of(environ)
        environ["wsgi.early_hints"] = exchange.early_hints
        environ.update(self.base)
        error = exchange.run(self.app)
        if isinstance(error, ClientGone):
            self.debug("%s: %s" % (exchange.name(), error))
        elif isinstance(error, MemoryError):
            self.replace("the app has run out of memory")
        exchange.environ = None  # a cycle, through early_hints
        self.wear()
        if exchange.cut:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
            return None
        return body

    def debug(self, text):
        if self.options.debug:
            log(text)

    def wear(self):
        """Asks to be replaced when it has done, or has grown, enough."""
        if self.limit and next(self.served) >= self.limit:
            self.replace("it has served %d requests" % self.limit)
        if self.options.max_rss and time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + 1
            rss = memory()
            if rss > self.options.max_rss:
                self.replace("it has %d MiB of memory, and may have %d" % (rss >> 20, self.options.max_rss >> 20))

    def replace(self, why):
        """Goes on until there is another one that serves."""
        if not self.worn:
            self.worn = True
            log("worker %d is replaced: %s" % (os.getpid(), why))
            self.tell(b"w")


def memory():
    """Returns the resident set of this process in bytes."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: the most that it has ever had
        import resource
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10


def die_with_parent():
    """Has the kernel send SIGTERM when the master dies: the control socket tells only a
    thread that is free."""
    try:
        import ctypes
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def follow(master):
    """Ends a worker that leaves, whatever it runs, when the reader of its log and its master
    have both died: then nobody waits for an answer."""
    poller = select.poll()
    poller.register(2, 0)  # POLLERR: the other end of the pipe is closed
    poller.poll()
    while os.getppid() == master:  # the kernel closes what a process has before it has ended
        time.sleep(0.05)
    os._exit(1)


def load(spec):
    """Imports module:callable, module or module:factory(...), with literal arguments."""
    module, _, expression = spec.partition(":")
    __import__(module)  # importlib's own would show its frames in a traceback
    module = sys.modules[module]
    if not expression:
        for name in ("application", "app"):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError("%s has neither application nor app: write %s:NAME" % (spec, spec))
    app = evaluate(module, ast.parse(expression.strip(), mode="eval").body)
    if not callable(app):
        raise TypeError("%s is a %s: name a callable" % (spec, type(app).__name__))
    return app


def evaluate(module, node):
    """Evaluates NAME, NAME.NAME and calls of them. Nothing else: it is no place for code."""
    if isinstance(node, ast.Name):
        return getattr(module, node.id)
    if isinstance(node, ast.Attribute):
        return getattr(evaluate(module, node.value), node.attr)
    if isinstance(node, ast.Call):
        args = [ast.literal_eval(arg) for arg in node.args]
        named = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
        return evaluate(module, node.func)(*args, **named)
    raise ValueError("the app is not written as module:callable or module:factory()")


# ---- The master ---------------------------------------------------------------------------


class Child:
    """What the master knows of a worker."""

    __slots__ = ("pid", "control", "ready", "worn", "leaving", "deadline", "error")

    def __init__(self, pid, control):
        self.pid = pid
        self.control = control
        self.ready = None  # since when it serves
        self.worn = False  # it wants to be replaced
        self.leaving = False
        self.deadline = None  # when it is killed
        self.error = None  # why it could not import the app


class Master:
    """Starts, counts and replaces workers. It has one thread, and never imports the app."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1,
               signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD)

    def __init__(self, options, listener):
        self.options = options
        self.listener = listener
        self.target = options.processes
        self.children = {}  # by pid
        self.stopping = False
        self.status = 0
        self.poller = select.poll()
        self.wake, self.waker = os.pipe()
        self.deaths = 0  # of young ones, in a row
        self.not_before = 0.0  # the next start
        self.failed = False  # the last one that tried could not import the app
        self.said = None  # the last error of an import, to say it once

    def run(self):
        """Works until the end, and returns the status of the process."""
        self.catch()
        while True:
            self.balance()
            if self.stopping and not self.children:
                return self.status
            for fd, _ in self.poller.poll(self.patience()):
                if fd == self.wake:
                    self.obey()
                else:
                    self.hear(fd)
            self.reap()
            self.enforce()

    def catch(self):
        """Signals are bytes in a pipe: they are dealt with in the loop only."""
        os.set_blocking(self.wake, False)
        os.set_blocking(self.waker, False)
        for sig in self.SIGNALS:
            signal.signal(sig, lambda *_: None)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        self.poller.register(self.wake, select.POLLIN)

    def obey(self):
        try:
            signals = os.read(self.wake, 4096)
        except BlockingIOError:
            return
        for sig in signals:
            if sig in (signal.SIGTERM, signal.SIGINT):
                self.finish(0)
            elif sig == signal.SIGQUIT:
                self.finish(0)
                for child in self.children.values():
                    os.kill(child.pid, signal.SIGKILL)
            elif sig == signal.SIGTTIN:
                self.target = min(self.target + 1, MOST_PROCESSES)
            elif sig == signal.SIGTTOU:
                self.target = max(self.target - 1, 1)

    def balance(self):
        """Makes the workers as many as they should be."""
        if self.stopping:
            return
        staying = [child for child in self.children.values() if not child.leaving]
        serving = [child for child in staying if child.ready]
        # The worn ones first, but not before another one serves; then the newest.
        serving.sort(key=lambda child: (child.worn, child.ready), reverse=True)
        for child in serving[:max(0, len(serving) - self.target)]:
            self.dismiss(child)
        if self.failed and staying and not serving:
            return  # how those fare that are importing the app will tell
        for _ in range(self.target - sum(not child.worn for child in staying)):
            if time.monotonic() >= self.not_before:
                self.spawn()

    def spawn(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            log("cannot start a worker: %s" % error)
            self.not_before = time.monotonic() + LONGEST_WAIT
            pid = -1
        if pid == 0:
            self.forget(ours)
            raise SystemExit(Worker(self.options, self.listener, theirs).run())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)
        theirs.close()
        if pid > 0:
            self.children[pid] = Child(pid, ours)
            self.poller.register(ours, select.POLLIN)

    def forget(self, ours):
        """Closes in a new worker what is the master's: the other ends of the control sockets
        above all, whose closing is a message."""
        for control in [ours] + [child.control for child in self.children.values()]:
            control.close()
        os.close(self.wake)
        os.close(self.waker)

    def hear(self, fd):
        for child in self.children.values():
            if child.control.fileno() == fd:
                self.listen(child)
                return

    def listen(self, child):
        """Reads what a worker says."""
        try:
            data = child.control.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.poller.unregister(child.control)
            return
        if child.error is None and data[:1] == b"r":
            child.ready = time.monotonic()
            self.failed, self.said, data = False, None, data[1:]
        if child.error is None and data[:1] == b"w":
            child.worn, data = True, data[1:]
        if child.error is not None or data[:1] == b"e":
            child.error = (child.error or b"") + data

    def dismiss(self, child):
        """Tells a worker to go."""
        if child.leaving:
            return
        child.leaving = True
        child.deadline = time.monotonic() + self.options.stop + 0.25  # its own is a bit earlier
        if child.control.fileno() >= 0:
            self.hang_up(child)
        os.kill(child.pid, signal.SIGTERM)  # for one that has no free thread, or no app yet

    def hang_up(self, child):
        try:
            self.poller.unregister(child.control)
        except KeyError:
            pass
        child.control.close()

    def finish(self, status):
        if not self.stopping:
            self.stopping, self.status = True, status
            self.listener.close()
            for child in self.children.values():
                self.dismiss(child)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                self.bury(child, status)

    def bury(self, child, status):
        """Draws the conclusions from a worker's end."""
        while child.control.fileno() >= 0 and self.hears(child):
            self.listen(child)
        if child.control.fileno() >= 0:
            self.hang_up(child)
        if self.stopping or child.leaving:
            if os.WIFEXITED(status) and status:
                log("worker %d has not ended within %g s: it was cut short" % (child.pid, self.options.stop))
            return
        if not child.ready:
            self.fail(child, status)
        else:
            log("worker %d %s" % (child.pid, how(status)))
        now = time.monotonic()
        young = child.ready is None or now - child.ready < YOUNG
        self.deaths = self.deaths + 1 if young else 0
        if self.deaths > 1:
            self.not_before = now + min(YOUNG if child.ready else LONGEST_WAIT, 0.05 * 2 ** min(self.deaths, 10))

    def hears(self, child):
        """Reports whether there is more to read from the dead."""
        try:
            return bool(child.control.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def fail(self, child, status):
        """A worker has ended before it served. With the last of them it is over."""
        if child.error:
            error = child.error[1:].decode("utf-8", "replace")
        else:
            error = "a worker %s while it imported the app\n" % how(status)
        if error != self.said:
            log("cannot import %s in %s" % (self.options.app, self.options.chdir), error)
        self.failed, self.said = True, error
        if all(other.leaving for other in self.children.values()):
            self.finish(STATUS_IMPORT)

    def enforce(self):
        for child in self.children.values():
            if child.deadline is not None and time.monotonic() >= child.deadline:
                child.deadline = None
                log("worker %d has not ended within %g s: it is killed" % (child.pid, self.options.stop))
                os.kill(child.pid, signal.SIGKILL)

    def patience(self):
        """Returns for how many milliseconds there is nothing to do without being told."""
        times = [child.deadline for child in self.children.values() if child.deadline is not None]
        now = time.monotonic()
        if self.not_before > now and not self.stopping:
            times.append(self.not_before)
        return max(0, int((min(times) - now) * 1000) + 1) if times else None


def how(status):
    if os.WIFSIGNALED(status):
        try:
            return "was killed by %s" % signal.Signals(os.WTERMSIG(status)).name
        except ValueError:
            return "was killed by signal %d" % os.WTERMSIG(status)
    return "has exited with status %d" % os.WEXITSTATUS(status)


# ---- The command line ---------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    def error(self, message):
        log(message)
        raise SystemExit(STATUS_ARGUMENTS)


def arguments():
    parser = Parser(prog=NAME, add_help=False, allow_abbrev=False)
    parser.add_argument("--app", required=True)
    parser.add_argument("--fd", required=True, type=int)
    parser.add_argument("--chdir", default=".")
    parser.add_argument("--wrap", help="module:callable that is called with the app")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-requests", type=int, default=0)
    parser.add_argument("--max-rss", type=int, default=0)
    parser.add_argument("--stop", type=float, default=30)
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args()
    if not 1 <= options.processes <= MOST_PROCESSES:
        parser.error("--processes %d is out of range: give a number from 1 to %d" % (options.processes, MOST_PROCESSES))
    if options.threads < 1 or options.stop < 0:
        parser.error("--threads and --stop must be positive")
    return options, parser


def inherit(options, parser):
    """Returns the socket. Only workers are to have it, not what the app starts."""
    try:
        os.set_inheritable(options.fd, False)
        listener = socket.socket(fileno=options.fd)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError("it does not listen")
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:  # which connections inherit
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        return parser.error("--fd %d: %s" % (options.fd, error))


def main():
    for stream in (sys.stdout, sys.stderr):  # what the app prints is in the log at once
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    options, parser = arguments()
    listener = inherit(options, parser)
    try:
        os.chdir(options.chdir)
        options.chdir = os.getcwd()
    except OSError as error:
        parser.error("--chdir %s: %s" % (options.chdir, error.strerror))
    if sys.path[:1] == [""]:  # of -c; python -P has none
        del sys.path[0]
    sys.path.insert(0, options.chdir)
    sys.argv = [NAME]
    raise SystemExit(Master(options, listener).run())


if __name__ == "__main__":
    main()
