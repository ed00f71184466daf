"""Speaks the lines of ``worker.py`` without vLLM, and does what the text of a question says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(question: dict[str, object]) -> None:
    text = str(question["text"])
    if text.startswith("wait "):
        time.sleep(float(text.split()[1]))
    if text == "kill":
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "kill halfway":
        sys.stdout.write('{"id": ')
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "kill once" and not os.path.exists(os.environ["ONCE"]):
        open(os.environ["ONCE"], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("status "):
        _, status, message = text.split(" ", 2)
        say({"id": question["id"], "status": int(status), "message": message})
        return
    done = {"text": f"about {text}", "finish": "stop", "audio_tokens": 3, "prompt_tokens": 5, "output_tokens": 7}
    say({"id": question["id"], **done})


engine = json.loads(sys.stdin.readline())["engine"]
print("engine", json.dumps(engine), os.environ.get("COLLAP_API_KEY"), file=sys.stderr, flush=True)
if "fail" in engine:
    print("line before\n" + engine["fail"], file=sys.stderr, flush=True)
    if engine.get("quietly"):
        os._exit(1)
    say({"failed": engine["fail"]})
    os._exit(1)
# Like the engine's own process: in the same group, deaf to the end of the pipe.
child = subprocess.Popen(["sleep", "600"])
print("pids", os.getpid(), child.pid, file=sys.stderr, flush=True)


def read() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        print("got", line.strip(), file=sys.stderr, flush=True)
        if "cancel" not in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()
    os._exit(0)


threading.Thread(target=read, daemon=True).start()
time.sleep(engine.get("load_s", 0.0))
say({"ready": "0"})
threading.Event().wait()
