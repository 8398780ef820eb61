"""The example ERP on the services of production, and many simulated people who use it.

parts      PostgreSQL and Redis: finds, starts and stops them
stack      the ERP's own processes: web server, worker, scheduler
browser    the client of one person: cookies, forms, redirects, one connection
people     the people who use the ERP, and what they do
load       many people at once, or one after another, with times
compare    the same work with and without the agent
screen     output on the terminal
"""
