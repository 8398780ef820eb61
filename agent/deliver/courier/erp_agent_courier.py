"""The program of a courier. `ps` shows the name of this file and the spool that it delivers.

    python -S …/erp_agent_courier.py SPOOL DESCRIPTOR     the descriptor holds the lock of this spool's courier

Nothing of the host's runs in here: neither its sitecustomize and usercustomize nor another agent's. An interpreter that
lacks urllib3 becomes another environment's that has it.
"""

import os
import sys

_FIRST = 3  # words of the command, where no other interpreter was tried


def begin() -> None:
    import site

    site.execsitecustomize = site.execusercustomize = lambda: None
    site.main()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != here]
    package = type(sys)("_erp_agent")
    package.__path__ = [os.path.dirname(os.path.dirname(here))]
    package.__package__ = "_erp_agent"
    sys.modules["_erp_agent"] = package
    directory, descriptor = sys.argv[1], int(sys.argv[2])
    from importlib.util import find_spec

    able = find_spec("urllib3") is not None
    if not able and len(sys.argv) == _FIRST:
        from _erp_agent.deliver.courier import elsewhere  # type: ignore[import-not-found]

        elsewhere.run(directory, [os.path.abspath(__file__), *sys.argv[1:], "in another interpreter"])
    from _erp_agent.deliver.courier import run

    run.main(directory, descriptor, able=able)


if __name__ == "__main__":
    begin()
