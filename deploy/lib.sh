# shellcheck shell=bash
# Shared by deploy/quickstart and deploy/test: words on stderr, Debian packages,
# the Go command, free ports. Sourced, never run.

say()  { printf '%s\n' "$*" >&2; }
die()  { printf 'error: %s\n' "$*" >&2; exit 1; }
hint() { printf 'hint: %s\n' "$*" >&2; }

# The system's python3: Debian's uWSGI plugin and its Django belong to this one,
# whatever else comes first in PATH.
PYTHON=/usr/bin/python3
# shellcheck disable=SC2034 # for those who source this
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# missing_packages NAME... prints those that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || printf '%s ' "$name"
  done
}

# need_packages NAME... installs what is missing if we are root, and otherwise
# says what to install and fails.
need_packages() {
  local missing
  command -v dpkg-query >/dev/null || { hint "no dpkg here: $* must be installed already"; return 0; }
  missing=$(missing_packages "$@")
  missing=${missing% }
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    hint "sudo apt-get update && sudo apt-get install --no-install-recommends $missing"
    die "these Debian packages are missing: $missing"
  fi
  say "installing $missing"
  # shellcheck disable=SC2086 # a list of names, wanted as words
  install_packages $missing || die "apt-get could not install: $missing"
}

# install_packages NAME... installs without questions, and starts no service:
# a web server of the tests must not appear on port 80 of the machine.
install_packages() (
  export DEBIAN_FRONTEND=noninteractive
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  fi
  # dpkg writes to stdout; our stdout is data.
  apt-get update -qq >&2 &&
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
)

# need_go puts the go command into PATH, or fails with the cure.
need_go() {
  command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
  command -v go >/dev/null || {
    hint "Go 1.26 or newer from https://go.dev/dl/; any Go since 1.21 fetches the right one by itself"
    die "no go command in PATH or /usr/local/go/bin"
  }
}

# need_python checks the system's python3.
need_python() {
  [ -x "$PYTHON" ] && return
  hint "apt-get install python3"
  die "no $PYTHON, which runs the apps"
}

# build_headgate builds the static binary into dist/ of the checkout.
build_headgate() {
  (cd "$1" && CGO_ENABLED=0 go build -trimpath -o dist/headgate ./cmd/headgate)
}

# free_port WANTED prints WANTED if TCP and UDP of it are free on 127.0.0.1, and
# a free one otherwise.
free_port() {
  "$PYTHON" - "$1" <<'PY'
import socket
import sys


def free(port):
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(("127.0.0.1", port))
            tcp.listen()
            udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        except OSError:
            return 0
        return tcp.getsockname()[1]


for port in (int(sys.argv[1]), *[0] * 20):
    if found := free(port):
        print(found)
        break
else:
    sys.exit("no free port on 127.0.0.1")
PY
}

# wait_for SECONDS COMMAND... tries until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# stop PID SIGNAL SECONDS ends a process that this shell started, by force when
# it does not end in time.
stop() {
  [ -n "$1" ] || return 0
  kill -s "$2" "$1" 2>/dev/null || return 0
  wait_for "$3" gone "$1" || kill -s KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# gone PID: ended, if only as a zombie that its shell has not waited for.
gone() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
  [ -z "$state" ] || [ "$state" = Z ]
}
