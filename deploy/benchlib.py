"""What the scripts of deploy/bench share: front ends, uWSGI, processes."""
import contextlib
import importlib.machinery
import importlib.util
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
CPUCLOCK_SCHED = 2  # as clock_getcpuclockid(3) makes the clock of a process

# nginx's own uwsgi_params, written out: Debian's file may change with a patch.
PARAMS = """QUERY_STRING $query_string
REQUEST_METHOD $request_method
CONTENT_TYPE $content_type
CONTENT_LENGTH $content_length
REQUEST_URI $request_uri
PATH_INFO $document_uri
DOCUMENT_ROOT $document_root
SERVER_PROTOCOL $server_protocol
REQUEST_SCHEME $scheme
HTTPS $https if_not_empty
REMOTE_ADDR $remote_addr
REMOTE_PORT $remote_port
SERVER_PORT $server_port
SERVER_NAME $server_name"""

# The beginning of every nginx.conf; {more} are lines of the http block.
NGINX = '''\
{user}worker_processes {workers};
worker_rlimit_nofile {files};
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log error;
events {{ worker_connections {connections}; }}
http {{
  client_body_temp_path {dir}/nginx-body;
  uwsgi_temp_path {dir}/nginx-uwsgi;
  proxy_temp_path {dir}/nginx-proxy;
  fastcgi_temp_path {dir}/nginx-fastcgi;
  scgi_temp_path {dir}/nginx-scgi;
  keepalive_timeout 90s;
  keepalive_requests 100000000;
{more}}}
'''


class BenchError(Exception):
    """What stops the benchmark, with the cure where it is known."""


class Front:
    """One front end under test: its process, its ports, and its directory.

    Configure gets this front, with its ports, and returns the text of its
    configuration; for nginx, lines of the http block. Connections are how many
    a worker of nginx may have, those to uWSGI included. What Headgate writes to
    standard output, its access log by default, goes to stdout. Cpus are those
    that it is pinned to; none means all.
    """

    def __init__(self, kind, directory, binary, configure, *, connections=1024, workers=1, env=None, stdout=None, cpus=()):
        self.kind, self.dir, self.connections, self.workers = kind, directory, connections, workers
        self.http, self.https = free_port(), free_port()
        self.log = directory / f"{kind}.out"
        with contextlib.ExitStack() as files:
            out = files.enter_context(stdout.open("ab")) if stdout else subprocess.DEVNULL
            error = files.enter_context(self.log.open("wb"))
            command = pinned(cpus, self._command(binary, configure(self)))
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command, env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=out, stderr=error, start_new_session=True,
            )

    def _command(self, binary, text):
        if self.kind == "headgate":
            file = self.dir / "headgate.yaml"
            file.write_text(text)
            return [binary, "run", "-c", str(file)]
        if self.kind == "caddy":
            file = self.dir / "Caddyfile"
            file.write_text(text)
            return [binary, "run", "--config", str(file), "--adapter", "caddyfile"]
        # Root's nginx would work as another user, who cannot reach the socket.
        user = "user root;\n" if os.getuid() == 0 else ""
        file = self.dir / "nginx.conf"
        file.write_text(NGINX.format(user=user, dir=self.dir, workers=self.workers, connections=self.connections,
                                     files=resource.getrlimit(resource.RLIMIT_NOFILE)[1], more=text))
        return [binary, "-e", str(self.dir / "nginx.log"), "-c", str(file)]

    def pids(self):
        """The process and its children: nginx works in a child."""
        return [self.process.pid, *children(self.process.pid)]

    def cpu(self):
        """Seconds of processor time that all its threads have used."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def rss(self):
        """Resident memory in bytes."""
        return sum(resident(pid) for pid in self.pids())

    def stop(self):
        stop(self.process)


def pinned(cpus, command):
    """The command, on these processors alone; on all if there are none."""
    return ["taskset", "-c", ",".join(map(str, cpus)), *command] if cpus else command


def uwsgi_params(indent):
    return "".join(f"{indent}uwsgi_param {p};\n" for p in PARAMS.splitlines())


def children(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def cpu_seconds(pid):
    """Processor time of a process, its threads that have ended included.

    This is the kernel's clock of the process, in nanoseconds. The sum of utime
    and stime in /proc/PID/stat is the same time in steps of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def free_port():
    """A port of 127.0.0.1 that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def start_uwsgi(socket_file, app, processes, *options, env=None):
    """Starts uWSGI with an app.py of this text beside its socket, and waits until it can be connected to."""
    directory = socket_file.parent
    (directory / "app.py").write_text(app)
    # A clean environment: a pyenv or a virtualenv would change uWSGI's Python.
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(directory), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    command = [
        "uwsgi", "--plugin", "python3", "--chdir", str(directory), "--module", "app", "--need-app",
        "--master", "--processes", str(processes), "--disable-logging",
        "--die-on-term", "--socket", str(socket_file), "--buffer-size", "32768", *options,
    ]
    log = socket_file.with_suffix(".log")
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=log.open("ab"), stderr=subprocess.STDOUT, start_new_session=True,
    )
    wait_until(lambda: connects(socket_file), process, log)
    return process


def connects(address):
    """Whether somebody listens at a socket file or a port."""
    unix = isinstance(address, Path)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as s:
        return s.connect_ex(str(address) if unix else ("127.0.0.1", address)) == 0


def wait_until(ready, process, log):
    end = time.monotonic() + 15
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            stop(process)
            name = process.args[3 if process.args[0] == "taskset" else 0]
            raise BenchError(f"{name} does not answer:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


def stop(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def note(text):
    print(text, file=sys.stderr, flush=True)


def beside(name):
    """Imports a script of this folder whose name does not end in .py."""
    file = Path(__file__).resolve().with_name(name)
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(file))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
