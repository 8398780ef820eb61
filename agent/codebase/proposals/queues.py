"""A function's decorators → which queue's worker runs it. `@task` alone does not show it: invoke's commands have it."""

from __future__ import annotations

import ast

from ..bindings import Function, ModuleIndex, last_name
from ..lookup import Lookup

#: Decorators of functions that a queue's worker runs → whose they are, where nothing more is known.
_DECORATORS = {
    "shared_task": "a Celery task",
    "task": "a Celery task",
    "periodic_task": "a Celery task",
    "db_task": "a Huey task",
    "db_periodic_task": "a Huey task",
    "actor": "a Dramatiq actor",
    "job": "an RQ job",
    "scheduled_job": "an APScheduler job",
}
#: Packages of queues → what a function is that theirs decorate.
_QUEUES = {
    "celery": "a Celery task",
    "huey": "a Huey task",
    "dramatiq": "a Dramatiq actor",
    "rq": "an RQ job",
    "django_rq": "an RQ job",
    "apscheduler": "an APScheduler job",
    "procrastinate": "a Procrastinate task",
    "taskiq": "a taskiq task",
    "django": "a Django task",  # from Django 6 on
    "django_tasks": "a Django task",
}
_DEEPEST = 4  # assignments that are followed: `app = Celery()`, `task = app.task`


def task_of(lookup: Lookup, index: ModuleIndex, node: Function) -> str:
    """Whose task a function is, as a reason for its monitor; "" where it is none."""
    for decorator in node.decorator_list:
        name = last_name(decorator)
        if name in _DECORATORS:
            what = _whose(lookup, index, decorator)
            if what is None:
                what = "a Huey task" if "huey" in ast.unparse(decorator).lower() else _DECORATORS[name]
            if what:
                return f"{what} (@{name})"
    return ""


def _whose(lookup: Lookup, index: ModuleIndex, decorator: ast.expr) -> str | None:
    """None where the text does not show whose it is, "" of a package that has nothing to do with queues."""
    node: ast.AST | None = decorator
    for _ in range(_DEEPEST):
        while isinstance(node, (ast.Call, ast.Attribute)):
            node = node.func if isinstance(node, ast.Call) else node.value
        binding = index.names.get(node.id, [None])[0] if isinstance(node, ast.Name) else None
        if binding is None:
            return None
        if binding.form in ("module", "from"):
            return _of_package(lookup, index, binding.module)
        node = binding.node
    return None


def _of_package(lookup: Lookup, index: ModuleIndex, module: str) -> str | None:
    package = module.partition(".")[0]
    if package in _QUEUES:
        return _QUEUES[package]
    if package == index.name.partition(".")[0]:
        return None
    found = lookup.module(package)
    if found is None:
        return ""
    if not any("-packages" in place for place in (found.file, *found.locations)):
        return None  # it is the project's
    # A package around a queue, as a company has for several of its projects?
    imported = lookup.module(module) or found
    source = lookup.finder.read(imported) if imported.kind == "source" else b""
    return None if any(queue.encode() in source for queue in _QUEUES if queue != "django") else ""
