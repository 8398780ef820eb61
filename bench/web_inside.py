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

SLOWER = 10  # times, at the least, a request takes longer on valgrind's processor
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
            send_once()
            gc.collect()
            gc.freeze()  # or a full collection, in whichever round it falls, weighs as much as ten requests
        elif "rounds" in said:
            child = os.fork()
            if not child:
                serve(application, requests * said["rounds"], every)
                time.sleep(SENDING)
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                raise SystemExit("a round failed")
            answer = {"pid": child}
        else:
            answer = web_seen.seen()
        answers.write(json.dumps(answer) + "\n")


def send_once():
    """What the agent counts for release health goes once a minute; what it imports for that, it imports once."""
    if "_erp_agent" not in sys.modules:
        return
    from _erp_agent.boot.running import engine as running

    engine = running()
    if engine is not None and engine.frameworks.sessions is not None:
        engine.frameworks.sessions.close()
        time.sleep(SENDING)


def serve(application, requests, every):
    """Of `every` requests, the last is one whose trace has been sampled where it came from, the others are not.

    What the agent does once a second is done as often as at full speed, and not SLOWER times as often a request.
    """
    tallies = _tallies()
    for number, (method, path, body, headers) in enumerate(requests):
        began = time.monotonic()
        sampled = "1" if number % every == every - 1 else "0"
        ask(
            application,
            method,
            path,
            body,
            {**headers, "Sentry-Trace": f"{number + 1:032x}-{number + 1:016x}-{sampled}"},
        )
        if tallies is not None:
            tallies.due += (time.monotonic() - began) * (1 - 1 / SLOWER)


def _tallies():
    if "_erp_agent" not in sys.modules:
        return None
    from _erp_agent.boot.running import engine as running

    engine = running()
    return engine.counting._tallies if engine is not None else None


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
