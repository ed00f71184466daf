"""Server, worker and deployments on this machine: ``python deployments/local.py up | down``.

Both processes are detached and log to ``.prefect/``. ``up`` writes the server's address into ``.env``,
which Prefect reads in the folder where a command is typed; ``down`` takes it out again, and commands
fall back to a short-lived server of their own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".prefect"
PREFECT = [sys.executable, "-m", "prefect"]
DOTENV = ROOT / ".env"
ADDRESS = "PREFECT_API_URL="
PATIENCE_S = 180


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--port", type=int, default=4200)
    options = parser.parse_args()
    os.chdir(ROOT)
    HOME.mkdir(exist_ok=True)
    return up(options.port) if options.command == "up" else down()


def up(port: int) -> int:
    """Start what is not running yet; 0 once a deployment can be run."""
    api = f"http://127.0.0.1:{port}/api"
    # Without the UI's own address a server on another port than 4200 shows an empty page.
    start("server", ["server", "start", "--host", "127.0.0.1", "--port", str(port)], PREFECT_SERVER_UI_API_URL=api)
    if not wait_for(f"{api}/health"):
        print(f"the server did not answer at {api} within {PATIENCE_S} s; see {HOME / 'server.log'}", file=sys.stderr)
        return 1
    if running("server") is None:
        print(f"port {port} is served by another program; choose one with --port", file=sys.stderr)
        return 1
    set_address(api)
    prefect(api, "work-pool", "create", "local", "--type", "process", "--overwrite")
    prefect(api, "--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
    start("worker", ["worker", "start", "--pool", "local", "--name", "local"], PREFECT_API_URL=api)
    print(f"""
Server and worker are running. Start the demo, then look at it:

  . {Path(sys.prefix).name}/bin/activate
  prefect deployment run build-dataset/demo
  http://127.0.0.1:{port}

Logs: .prefect/server.log, .prefect/worker.log. Stop both with `make down`.""")
    return 0


def down() -> int:
    for name in ("worker", "server"):
        stop(name)
    set_address(None)
    return 0


def set_address(api: str | None) -> None:
    """Keep what else stands in ``.env``."""
    lines = DOTENV.read_text().splitlines() if DOTENV.exists() else []
    lines = [line for line in lines if not line.startswith(ADDRESS)]
    lines += [f"{ADDRESS}{api}"] if api else []
    if lines:
        DOTENV.write_text("\n".join(lines) + "\n")
    else:
        DOTENV.unlink(missing_ok=True)


def prefect(api: str, *arguments: str) -> None:
    """A command against this server, whatever address the shell's environment names."""
    environment = {**os.environ, "PREFECT_API_URL": api}
    subprocess.run([*PREFECT, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)


def start(name: str, arguments: list[str], **environment: str) -> None:
    """Start a detached process unless the one that was started before still runs."""
    if running(name) is not None:
        print(f"{name} is running already")
        return
    with open(HOME / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [*PREFECT, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A worker passes SIGTERM on to itself as SIGINT; a shell in the background would have that ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    pid_file(name).write_text(str(process.pid))


def stop(name: str) -> None:
    pid = running(name)
    if pid is not None:
        os.killpg(pid, signal.SIGTERM)
        patience = time.monotonic() + 20
        while running(name) is not None and time.monotonic() < patience:
            time.sleep(0.2)
        if running(name) is not None:
            os.killpg(pid, signal.SIGKILL)
        print(f"{name} stopped")
    pid_file(name).unlink(missing_ok=True)


def running(name: str) -> int | None:
    """The process id of a server or worker that this program started and that still runs."""
    if not pid_file(name).exists():
        return None
    pid = int(pid_file(name).read_text())
    command = Path(f"/proc/{pid}/cmdline")
    if command.parent.parent.exists() and (not command.exists() or name.encode() not in command.read_bytes()):
        return None  # ended; another process may have its number by now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return pid


def pid_file(name: str) -> Path:
    return HOME / f"{name}.pid"


def wait_for(address: str) -> bool:
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False


if __name__ == "__main__":
    sys.exit(main())
