#!/bin/sh
# Starts and stops the demo app, for playbooks that drive their service by commands of their own.
set -eu
release=$(cd "$(dirname "$0")/.." && pwd -P)
pid_file=$release/../../shared/app.pid

running() { pid=$(cat "$pid_file" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }

start() {
    mkdir -p "$release/../../shared"
    cd "$release"
    setsid ./bin/serve </dev/null >>../../shared/app.log 2>&1 &
    echo $! >"$pid_file"
}

stop() {
    if running; then kill "$pid"; fi
    n=0
    while running && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
    ! running && rm -f "$pid_file"
}

case ${1-} in
    start) running || start ;;
    stop) stop ;;
    restart) stop; start ;;
    status) running && echo "$pid" ;; # the main process: rollout proves by it what runs
    *) echo "usage: $0 start|stop|restart|status" >&2; exit 2 ;;
esac
