"""One process of bench/web_steady.py: Django's WSGI handler, called as a server calls it, without a socket.

Reads one line of JSON from standard input for each command, and writes one in response:

    {"requests": [[method, path, body, {header: value}], …], "sampled": N}
                                  the requests of a round, of which every Nth is traced; makes them a few times
    {"seen": true}                returns what monitors this process
    {"rounds": N}                 makes them N times in a fork: {"pid": of the fork}

What the process itself writes to standard output is written to standard error.
"""

import gc
import io
import json
import os
import sys
import time

import web_seen

WARMING = 4  # rounds: imports, connections, what is compiled, quickened or cached on first use
SENDING = 10.0  # seconds for what threads in the background have to send


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())
    from erp.wsgi import application

    requests, every = [], 1
    for line in sys.stdin:
        said = json.loads(line)
        answer = {}
        if "requests" in said:
            requests, every = said["requests"], said["sampled"]
            serve(application, requests, every=1)  # what the first trace of each page finds out is known then
            serve(application, requests * WARMING, every)
            do_once()
            gc.collect()
            gc.freeze()  # or a full collection, in whichever round it falls, weighs as much as ten requests
        elif "rounds" in said:
            child = os.fork()
            if not child:
                hold_still()
                serve(application, requests * said["rounds"], every)
                if said["rounds"] > 1:
                    look()
                time.sleep(SENDING)
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                raise SystemExit("a round failed")
            answer = {"pid": child}
        else:
            answer = web_seen.seen()
        answers.write(json.dumps(answer) + "\n")


def do_once():
    """What the agent does once in a process, or imports for what it does once a second or a minute."""
    agent = _agent()
    if agent is None:
        return
    agent._look_from = agent._look_at = 0.0
    look()
    sessions = agent.engine().frameworks.sessions
    if sessions is not None:
        sessions.close()
        time.sleep(SENDING)


def hold_still():
    """Nothing is done because a second or a minute is over: how often that is, depends on how busy the machine is.

    Nor is a statement slow here, which would be looked for where it was called.
    """
    agent = _agent()
    if agent is None:
        return
    agent._look_at = float("inf")
    recording = sys.modules.get("_erp_agent.traces.trace")
    if recording is not None:
        recording._SLOW = float("inf")
    tallies, sessions = agent.engine().counting._tallies, agent.engine().frameworks.sessions
    if tallies is not None:
        tallies.due = float("inf")
    if sessions is not None:
        now = time.time()
        sessions._clock = lambda: now


def look():
    """Do what the agent does once a second."""
    agent = _agent()
    if agent is None:
        return
    agent._look_at = 0.0
    tallies = agent.engine().counting._tallies
    if tallies is not None:
        tallies.look(time.perf_counter())
    else:
        agent.look()


def _agent():
    bootstrap = sys.modules.get("_erp_agent.boot.bootstrap")
    return bootstrap.current if bootstrap is not None else None


def serve(application, requests, every):
    """Of `every` requests, the last is one whose trace has been sampled where it came from, the others are not."""
    for number, (method, path, body, headers) in enumerate(requests):
        sampled = "1" if number % every == every - 1 else "0"
        trace = f"{number + 1:032x}-{number + 1:016x}-{sampled}"
        ask(application, method, path, body, {**headers, "Sentry-Trace": trace})


def ask(application, method, path, body, headers):
    path, _, query = path.partition("?")
    data = (body or "").encode()
    environ = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, "RAW_URI": path,
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000", "HTTP_HOST": "127.0.0.1:8000", "CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(data), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    for header, value in headers.items():
        name = header.upper().replace("-", "_")
        environ[name if name == "CONTENT_TYPE" else "HTTP_" + name] = value
    status = ""

    def start_response(said, headers, exc_info=None):
        nonlocal status
        del headers, exc_info
        status = said

    response = application(environ, start_response)
    try:
        for _ in response:
            pass
    finally:
        response.close()
    if status[:3] not in ("200", "201"):
        raise SystemExit(f"{method} {path}: {status}")


if __name__ == "__main__":
    main()
