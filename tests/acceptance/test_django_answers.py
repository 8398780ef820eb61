"""Requests of Django that end badly without an exception that leaves the view: each failure is one event, with its cause."""

import json

import pytest

pytest.importorskip("django")

#: Asks Django's own handlers as a server does; prints what a server sees, and where the host is warned.
HOST = """
import asyncio, json, sys, warnings
from django.conf import settings
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", LOGGING_CONFIG=None, MIDDLEWARE=MIDDLEWARES,
                   REST_FRAMEWORK={"EXCEPTION_HANDLER": "urls.answer", "UNAUTHENTICATED_USER": None,
                                   "DEFAULT_AUTHENTICATION_CLASSES": []})
import django
django.setup()
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

def wsgi(path):
    import wsgiref.util
    from wsgiref.util import setup_testing_defaults
    environ, began = {"PATH_INFO": path}, []
    if path.startswith("/read"):  # the server has a way of its own to read files
        environ["wsgi.file_wrapper"] = wsgiref.util.FileWrapper
    setup_testing_defaults(environ)
    answer = WSGIHandler()(environ, lambda *head: began.append(head[0]))
    try:
        return began + [part.decode() for part in answer]
    except Exception as error:
        return began + [type(error).__name__]
    finally:
        answer.close()

def asgi(path):
    sent = []
    async def main():
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])
        async def receive():
            for each in asked:
                return each
            await asyncio.sleep(30)
        async def send(message):
            sent.append(message.get("status") or message["body"].decode())
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "client": ("::1", 5)}
        try:
            await ASGIHandler()(scope, receive, send)
        except Exception as error:
            sent.append(type(error).__name__)
    asyncio.run(main())
    return sent

for way in (wsgi, asgi):
    for path in sys.argv[1:]:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            answer = way(path)
        places = [each.filename.rpartition("/")[2] for each in warned if "Streaming" in str(each.message)]
        print(json.dumps([way.__name__, path, answer, places]))
"""


def both_ways(host, monitors, *paths, middleware=(), **files):
    """What the process prints, which is the same without the agent; and its events, (path, exceptions) each."""
    host.write(main__py=HOST.replace("MIDDLEWARES", repr(list(middleware))), monitors__yaml=monitors, **files)
    bare = host.run("main.py", *paths, agent=False)
    done = host.run("main.py", *paths)
    assert done.stdout == bare.stdout
    assert "agent:" not in done.stderr, done.stderr
    events = host.events()
    return [json.loads(line) for line in done.stdout.splitlines()], events


def told(events):
    return sorted(
        (event["request"]["url"], event["exception"]["values"][-1]["value"] if "exception" in event else None)
        for event in events
    )


STREAMS = """
import asyncio
from django.http import FileResponse, StreamingHttpResponse
from django.urls import path
def rows():
    yield b"one"
    raise LookupError("row")
async def arows():
    yield b"one"
    await asyncio.sleep(0)
    raise LookupError("arow")
class Broken:
    def __init__(self): self.parts = iter([b"one"])
    def read(self, size):
        for part in self.parts: return part
        raise OSError("disk")
urlpatterns = [path("rows/", lambda request: StreamingHttpResponse(rows())),
               path("arows/", lambda request: StreamingHttpResponse(arows())),
               path("well/", lambda request: StreamingHttpResponse([b"a", b"b"])),
               path("file/", lambda request: FileResponse(Broken())),
               path("read/", lambda request: FileResponse(Broken())),
               path("read-well/", lambda request: FileResponse(open("urls.py", "rb")))]
"""


@pytest.mark.parametrize("packs", ["[]", "[django]"])
def test_a_stream_that_breaks_off_is_one_event_however_it_is_served(host, packs):
    seen, events = both_ways(
        host,
        f"version: 1\npacks: {packs}\ndefaults: {{rate_limit: off, budget: off}}\n",
        "/rows/",
        "/arows/",
        "/well/",
        urls__py=STREAMS,
    )
    assert {answer[-1] for _, path, answer, _ in seen if path != "/well/"} == {"LookupError"}
    assert told(events) == [("/arows/", "arow")] * 2 + [("/rows/", "row")] * 2
    # An iterator of the other kind is warned of where it was, and no frame of ours is in what is reported.
    assert [bool(places) for _, path, _, places in seen] == [False, True, False, True, False, True]
    frames = [
        frame for event in events for each in event["exception"]["values"] for frame in each["stacktrace"]["frames"]
    ]
    assert not [frame for frame in frames if "erp_agent" in frame.get("module", "")]


ANSWERS = """
from django.core.signals import got_request_exception
from django.http import HttpResponse, JsonResponse
from django.urls import path
class Signals:
    def __init__(self, get_response): self.get_response = get_response
    def __call__(self, request): return self.get_response(request)
    def process_exception(self, request, exception):
        if request.path.startswith("/signalled"):
            got_request_exception.send(sender=type(self), request=request)
        if "refused" in request.path:
            return JsonResponse({}, status=409)
        if "escapes" not in request.path:
            return JsonResponse({"error": str(exception)}, status=500)
def named(request): return {}["ledger"]
def deeper(request):
    try: raise OSError("disk")
    except OSError as error: raise LookupError("book") from error
async def later(request): raise ValueError("later")
def monitored(request): raise ValueError("monitored")
def answered(request): return HttpResponse("no", status=503)
urlpatterns = [path("named/", named), path("signalled/", deeper), path("later/", later), path("refused/", named),
               path("monitored/", monitored), path("escapes/", named), path("answered/", answered)]
"""
PATHS = ["/named/", "/signalled/", "/later/", "/refused/", "/monitored/", "/escapes/"]


@pytest.mark.parametrize("packs", ["[]", "[django]"])
def test_a_file_that_cannot_be_read_to_its_end_is_one_event_however_it_is_served(host, packs):
    """Also by what the server has for it, `wsgi.file_wrapper`, which does not ask the answer for its parts."""
    monitors = f"version: 1\npacks: {packs}\ndefaults: {{rate_limit: off, budget: off}}\n"
    seen, events = both_ways(host, monitors, "/file/", "/read/", "/read-well/", "/read/", urls__py=STREAMS)
    broken = [answer for _, path, answer, _ in seen if path != "/read-well/"]
    assert {answer[-1] for answer in broken} == {"OSError"}
    assert told(events) == [("/file/", "disk")] * 2 + [("/read/", "disk")] * 4
    assert {event["tags"]["erp.operation"] for event in events} == {"GET /file/", "GET /read/"}


@pytest.mark.parametrize("packs", ["[]", "[django]"])
def test_what_a_middleware_answers_is_one_event_with_its_exception(host, packs):
    monitors = f"version: 1\npacks: {packs}\ndefaults: {{rate_limit: off, budget: off}}\nmonitors:\n  - {{target: urls.monitored, kind: api}}\n"
    seen, events = both_ways(
        host, monitors, *PATHS, *["/answered/"] * bool(packs != "[]"), middleware=["urls.Signals"], urls__py=ANSWERS
    )
    assert [answer[0] for way, path, answer, _ in seen if way == "asgi" and path == "/later/"] == [500]
    causes = {
        "/named/": "'ledger'", "/signalled/": "book", "/later/": "later", "/monitored/": "monitored",
        "/escapes/": "'ledger'",
    }  # fmt: skip
    if packs != "[]":
        causes["/answered/"] = None  # which raised nothing: the endpoint's answer is all that there is
    assert told(events) == sorted([*causes.items()] * 2, key=str)
    first = next(event for event in events if event["request"]["url"] == "/named/")
    assert first["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "named"
    assert "KeyError in urls.named" in first["fingerprint"]
    assert first["tags"]["erp.operation"] == "GET /named/"
    chained = next(event for event in events if event["request"]["url"] == "/signalled/")
    assert [each["type"] for each in chained["exception"]["values"]] == ["OSError", "LookupError"]


API = """
from django.urls import path
from rest_framework.exceptions import APIException, NotFound
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler
def answer(error, context):
    return exception_handler(error, context) or Response({"detail": "sorry"}, status=500)
class Ledger(APIView):
    def get(self, request): return {}["ledger"]
class Busy(APIView):
    def get(self, request): raise APIException("busy")
class Missing(APIView):
    def get(self, request): raise NotFound()
urlpatterns = [path("ledger/", Ledger.as_view()), path("busy/", Busy.as_view()), path("missing/", Missing.as_view())]
"""


def test_what_an_exception_handler_of_rest_framework_answers(host):
    pytest.importorskip("rest_framework")
    config = "version: 1\npacks: [django, drf]\ndefaults: {rate_limit: off, budget: off}\n"
    _, events = both_ways(host, config, "/ledger/", "/busy/", "/missing/", urls__py=API)
    assert told(events) == [("/busy/", "busy")] * 2 + [("/ledger/", "'ledger'")] * 2
