"""`python -m agent …`"""

import sys


def main() -> int:
    # The agent of this very process must not monitor the command line that asks about it.
    started = sys.modules.get("_erp_agent.bootstrap")
    if started is not None and started.current is not None:
        started.current.uninstall()
    from .cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
