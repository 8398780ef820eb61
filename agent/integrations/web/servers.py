"""Where servers call their application, and which applications are found without: the tables for those of another kind.

Loaded before the engine: data, and no imports but `typing`.
"""

from ...base.records import Record


class Place(Record):
    """A function of a server that calls the application and lasts until the body was sent and closed."""

    function: str  #: in the server's module
    application: str  #: a parameter of it, or attributes from one on: what it calls
    status: str = ""  #: where the status is, from a local variable or parameter on, if `start_response` is a closure
    before: str = ""  #: called earlier than `function` is for the first time
    failed: str = ""  #: called while the server handles what the application raised, if it is caught in `function`
    whole: bool = True  #: False where the application runs on after `function` has returned
    sends: str = ""  #: gets the messages of ASGI, as the parameter `message`, where nothing keeps the status


_GUNICORN = "self.wsgi", "resp.status"
_UVICORN = Place(
    "RequestResponseCycle.run_asgi", "app", before="RequestResponseCycle.__init__", sends="RequestResponseCycle.send"
)

#: A module of a server → where it calls the application. All of them are in `places.HOOKS`.
PLACES = {
    "cheroot.wsgi": (Place("Gateway.respond", "self.req.server.wsgi_app", "self.req.status", "Gateway.__init__"),),
    "daphne.server": (
        Place(
            "Server.create_application", "self.application", before="Server.__init__", whole=False,
            sends="Server.handle_reply",
        ),
    ),
    "eventlet.wsgi": (
        Place(
            "HttpProtocol.handle_one_response", "self.application", "headers_set.0", "server", "LoggerFileWrapper.info"
        ),
    ),
    "gevent.pywsgi": (
        Place("WSGIHandler.run_application", "self.application", "self.status", "WSGIHandler.__init__"),
    ),
    "granian.asgi": (Place("_callback_wrapper", "callback", before="_callback_wrapper", whole=False),),
    "granian.wsgi": (Place("_callback_wrapper", "callback", before="_callback_wrapper", whole=False),),
    "gunicorn.asgi.protocol": (
        Place("ASGIProtocol._handle_http_request", "self.app", "response_status", "ASGIProtocol.__init__"),
        Place("ASGIProtocol._handle_http2_request", "self.app", "response_status"),
    ),
    "gunicorn.asgi.websocket": (Place("WebSocketProtocol.run", "self.app", before="WebSocketProtocol.__init__"),),
    "gunicorn.workers.base_async": (
        Place("AsyncWorker.handle_request", *_GUNICORN, "AsyncWorker.handle"),
        Place("AsyncWorker.handle_http2_request", *_GUNICORN),
    ),
    "gunicorn.workers.gthread": (
        Place("ThreadWorker.handle_request", *_GUNICORN, "ThreadWorker.handle"),
        Place("ThreadWorker.handle_http2_request", *_GUNICORN),
    ),
    "gunicorn.workers.sync": (Place("SyncWorker.handle_request", *_GUNICORN, "SyncWorker.handle"),),
    "hypercorn.app_wrappers": (
        Place("ASGIWrapper.__call__", "self.app", "send.__self__.response.status", "ASGIWrapper.__init__"),
        Place("WSGIWrapper.run_app", "self.app", "status_code", "WSGIWrapper.__init__"),
    ),
    "mod_wsgi.server": (
        Place("ApplicationHandler.__call__", "self.application", before="ApplicationHandler.__init__"),
    ),
    "paste.httpserver": (
        Place(
            "WSGIHandlerMixin.wsgi_execute", "self.server.wsgi_application", before="WSGIServerBase.__init__"
        ),
    ),
    "rocket3": (Place("WSGIWorker.run_app", "self.app", before="Rocket3.__init__"),),
    "tornado.wsgi": (
        Place("WSGIContainer.handle_request", "self.wsgi_application", "data.status", "WSGIContainer.__init__"),
    ),
    "twisted.web.wsgi": (Place("_WSGIResponse.run", "self.application", before="WSGIResource.__init__"),),
    "uvicorn.protocols.http.h11_impl": (_UVICORN,),
    "uvicorn.protocols.http.httptools_impl": (_UVICORN,),
    "uvicorn.protocols.http.zttp_h2_impl": (_UVICORN,),
    "uvicorn.protocols.http.zttp_impl": (_UVICORN,),
    "uvicorn.protocols.websockets.websockets_impl": (
        Place("WebSocketProtocol.run_asgi", "self.app", before="WebSocketProtocol.__init__"),
    ),
    "uvicorn.protocols.websockets.websockets_sansio_impl": (
        Place("WebSocketsSansIOProtocol.run_asgi", "self.app", before="WebSocketsSansIOProtocol.__init__"),
    ),
    "uvicorn.protocols.websockets.wsproto_impl": (
        Place("WSProtocol.run_asgi", "self.app", before="WSProtocol.__init__"),
    ),
    "waitress.task": (
        # Its class has the status 200: it is decided once the task itself has one.
        Place("WSGITask.execute", "self.channel.server.application", "self.__dict__.status", "Task.__init__"),
    ),
    "werkzeug.serving": (
        Place(
            "WSGIRequestHandler.run_wsgi", "self.server.app", "status_set", "BaseWSGIServer.__init__",
            "BaseWSGIServer.log",
        ),
    ),
    "wsgiref.handlers": (
        Place("BaseHandler.run", "application", "self.status", "SimpleHandler.__init__", "BaseHandler.log_exception"),
    ),
}  # fmt: skip

#: A module of a framework → what a server calls of it, and what is called before: found without the server.
APPLICATIONS = {
    "bottle": ("Bottle.__call__", "Bottle.__init__"),
    "cherrypy._cptree": ("Tree.__call__", "Tree.mount"),
    "falcon.app": ("App.__call__", "App.__init__"),
    "falcon.asgi.app": ("App.__call__", "App.__init__"),
    "flask.app": ("Flask.__call__", "Flask.__init__"),
    "litestar.app": ("Litestar.__call__", "Litestar.__init__"),
    "ombott.ombott": ("Ombott.__call__", "Ombott.__init__"),
    "pyramid.router": ("Router.__call__", "Router.__init__"),
    "quart.app": ("Quart.__call__", "Quart.__init__"),
    "starlette.applications": ("Starlette.__call__", "Starlette.__init__"),
    "tg.wsgiapp": ("TGApp.__call__", "TGApp.__init__"),
}


def uses(module: str) -> "tuple[str, ...]":
    """The functions of `module` of which one is called before it serves its first request."""
    if module in APPLICATIONS:
        return APPLICATIONS[module][1:]
    return tuple([place.before for place in PLACES.get(module, ()) if place.before])
