"""The console script `erp-agent`: the same as `python -m agent`, whatever else is called `agent` on the path.

It is a module of its own, because `import agent` may find the host's. In a checkout it lies beside the package, in an
installed wheel too.
"""

import os
import sys
from types import ModuleType


def main() -> int:
    here = os.path.dirname(os.path.abspath(__file__))
    if "_erp_agent" not in sys.modules:  # the agent did not start in this process
        package = sys.modules["_erp_agent"] = ModuleType("_erp_agent")
        package.__path__ = [os.path.join(here, "agent")]
        package.__package__ = "_erp_agent"
        package.__file__ = os.path.join(here, "agent", "__init__.py")
    from _erp_agent.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
