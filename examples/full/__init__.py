"""The example ERP on production parts, and many people who use it.

parts      PostgreSQL and Redis, found, started and stopped
stack      the ERP's own processes on them: web server, worker, scheduler
browser    what one person sends: cookies, forms, redirects, one connection
people     who uses the ERP, and what they do there
load       many people at once, or one after another; what it took
compare    the same work with the agent and without it
screen     what the terminal shows
"""
