from erp.common.tools import *  # noqa: F403
