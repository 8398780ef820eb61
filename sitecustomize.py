# Python imports this file at start-up, because its folder is on PYTHONPATH. Every Python that inherits PYTHONPATH reads
# it, also those that the agent does not support: so it is written in what Python 2.7 and all later ones understand. It
# is short because some processes have to compile it: the work is in agent/boot/start.py and agent/boot/unsupported.py.
import os
import sys


def _read(steps):
    # The content of the last of these, each a file or folder in the one before it, unless somebody else may write one.
    opened = []
    try:
        for name, flags, owners, rights in steps:
            flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            opened.append(os.open(name, flags, dir_fd=opened[-1] if opened else None))
            found = os.fstat(opened[-1])
            if found.st_uid not in owners or found.st_mode & rights:
                return b""
        # At once, or not at all: then the import system does it.
        return os.read(opened[-1], found.st_size) if found.st_size < 1 << 20 else b""
    except OSError:
        return b""
    finally:
        for descriptor in opened:
            os.close(descriptor)


# What every process runs, in the order in which each needs the others.
_STARTS = (("base", "places"), ("boot", "start"))


def _load(package):
    # What the import system would do, at a third of its price: every Python of the machine pays it.
    from _frozen_importlib_external import MAGIC_NUMBER
    from marshal import loads

    me = os.geteuid()
    for room, name in _STARTS:
        source = "%s/%s/%s.py" % (package, room, name)
        status = os.stat(source)
        wanted = MAGIC_NUMBER + b"\0\0\0\0" + (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
        wanted += (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
        file = "%s.%s.pyc" % (name, sys.implementation.cache_tag)
        data = _read([("%s/%s/__pycache__/%s" % (package, room, file), 0, (status.st_uid, me), 0)])
        if data[:16] != wanted:
            # Where no bytecode can be written beside the source, `plan.in_force` keeps it in the user's own state
            # folder: nobody else may write there, or put another folder in its place.
            state = os.environ.get("AGENT_STATE_DIR") or os.environ.get("HOME", "") + "/.local/state/erp-sentry-agent"
            state, link = os.path.expanduser(state), os.O_NOFOLLOW
            data = _read([(state, link, (0, me), 0o22), ("bytecode", link, (me,), 0o77), (file, link, (me,), 0o77)])
        if data[:16] != wanted:
            continue  # it is imported by whoever needs it
        above = sys.modules["_erp_agent." + room]
        module = type(sys)("%s.%s" % (above.__name__, name))
        module.__package__, module.__file__ = above.__name__, source
        sys.modules[module.__name__] = module
        try:
            exec(loads(data[16:]), module.__dict__)
        except Exception:
            del sys.modules[module.__name__]
        else:
            setattr(above, name, module)


def _is_on(variable):
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no", "off")


def _begin():
    if "_erp_agent.boot.start" in sys.modules:  # another sitecustomize, which ours has run, runs ours as the next one
        return sys.modules["_erp_agent.boot.start"]
    here = os.path.dirname(os.path.abspath(__file__))
    # In a checkout the package lies beside this file; in an installed wheel this file lies inside the package.
    package = os.path.join(here, "agent")
    if not os.path.isfile(os.path.join(package, "boot", "start.py")):
        # An image has a link to that folder, so that the path does not depend on the version of Python.
        package = os.path.dirname(os.path.realpath(here) if os.path.islink(here) else here)
    # The package gets a name that no host has, so that a host's own package called "agent" stays importable. It is
    # made by hand: its __init__ would be one more file to read in every process.
    sys.modules["_erp_agent"] = module = type(sys)("_erp_agent")
    module.__path__ = [package]
    module.__package__ = "_erp_agent"
    module.__file__ = os.path.join(package, "__init__.py")
    for room, _ in _STARTS:
        name = "_erp_agent." + room
        sys.modules[name] = module.__dict__[room] = inner = type(sys)(name)
        inner.__path__, inner.__package__ = ["%s/%s" % (package, room)], name
    if sys.version_info < (3, 9) or sys.implementation.name != "cpython":
        kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            import _erp_agent.boot.unsupported as begun
        finally:
            sys.dont_write_bytecode = kept
    else:
        try:
            _load(package)
        except Exception:
            pass  # it is imported below
        import _erp_agent.boot.start as begun
    begun.start(here)
    return begun


try:
    _begun = _begin()
except Exception:
    _begun = None
    if sys.stderr is not None:
        sys.stderr.write("agent: could not start: %s\n" % (sys.exc_info()[1],))
        sys.stderr.flush()
    if _is_on("AGENT_STRICT") and not _is_on("AGENT_DISABLED"):
        os._exit(2)
if _begun is not None:
    _begun.run_shadowed(__file__)
