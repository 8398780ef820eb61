"""`python -m agent …`"""

import os
import sys
import time

_LONGEST_START = 60.0  # seconds


def main() -> int:
    # The agent of this very process must not monitor the command line that inspects it.
    started = sys.modules.get("_erp_agent.boot.bootstrap")
    if started is not None and started.current is not None:
        started.current.uninstall()
    from .base import imports

    imports.use_bundled()
    from .cli.main import main as run

    _leave_no_trace()
    return run(sys.argv[1:])


def _leave_no_trace() -> None:
    """The agent of this very process may have noted what it patched: that is about a command, and not about the ERP."""
    from .base import places
    from .cli.state import processes

    config = places.config_path(os.environ)
    processes.forget(os.path.join(places.state_folder(os.environ, config), "run"), time.time() - _LONGEST_START)


if __name__ == "__main__":
    sys.exit(main())
