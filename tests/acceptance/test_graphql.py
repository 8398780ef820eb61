"""GraphQL: a resolver's failure is answered with 200, and reported once with the operation's name and the path."""

import json

import pytest
from acceptance import webhost

LIBRARIES = {
    "graphene": """
import graphene
class Item(graphene.ObjectType):
    price = graphene.Int()
    async def resolve_price(self, info):
        await asyncio.sleep(0)
        raise OutOfStock("no price")
class Query(graphene.ObjectType):
    orders = graphene.List(Item)
    refused = graphene.String()
    home = graphene.String()
    def resolve_orders(self, info): return [Item(), Item()]
    def resolve_refused(self, info): raise GraphQLError("not for you")
    def resolve_home(self, info): return "home"
class CreateOrder(graphene.Mutation):
    class Arguments:
        product = graphene.String()
    number = graphene.Int()
    def mutate(self, info, product): raise OutOfStock("no chair")
class Mutation(graphene.ObjectType):
    createOrder = CreateOrder.Field()
def run(query, variables):
    schema = graphene.Schema(query=Query, mutation=Mutation)
    return asyncio.run(schema.execute_async(query, variables=variables))
""",
    "strawberry": """
import typing, strawberry
@strawberry.type
class Item:
    @strawberry.field
    async def price(self) -> typing.Optional[int]:
        await asyncio.sleep(0)
        raise OutOfStock("no price")
@strawberry.type
class Created:
    number: int
@strawberry.type
class Query:
    @strawberry.field
    def orders(self) -> list[Item]: return [Item(), Item()]
    @strawberry.field
    def refused(self) -> typing.Optional[str]: raise GraphQLError("not for you")
    @strawberry.field
    def home(self) -> str: return "home"
@strawberry.type
class Mutation:
    @strawberry.mutation
    async def create_order(self, product: str) -> typing.Optional[Created]: raise OutOfStock("no chair")
schema = strawberry.Schema(query=Query, mutation=Mutation)
def run(query, variables): return asyncio.run(schema.execute(query, variable_values=variables))
""",
    "ariadne": """
import ariadne, graphql
query, item, mutation = ariadne.QueryType(), ariadne.ObjectType("Item"), ariadne.MutationType()
@query.field("orders")
def orders(*_): return [{}, {}]
@query.field("refused")
def refused(*_): raise GraphQLError("not for you")
@query.field("home")
def home(*_): return "home"
@item.field("price")
def price(*_): raise OutOfStock("no price")
@mutation.field("createOrder")
def create_order(*_, product): raise OutOfStock("no chair")
schema = ariadne.make_executable_schema("type Item {price: Int} type Created {number: Int}"
    "type Query {orders: [Item] refused: String home: String} type Mutation {createOrder(product: String): Created}",
    query, item, mutation)
def run(query, variables):
    _, made = ariadne.graphql_sync(schema, {"query": query, "variables": variables})
    return graphql.ExecutionResult(made.get("data"), [GraphQLError(each["message"]) for each in made.get("errors", ())])
""",
}
APPLICATION = """
import asyncio, json, logging
from graphql import GraphQLError
class OutOfStock(Exception): pass
logging.disable(logging.CRITICAL)
LIBRARY
def application(environ, start_response):
    asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    result = run(asked["query"], asked.get("variables"))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([result.data, [error.message for error in result.errors or []]]).encode()]
"""
QUERIES = [
    "{ home }",
    "query Refusal { refused }",
    "query Prices { orders { price } }",
    "mutation Order($p: String!) { createOrder(product: $p) { number } }",
    "query Wrong { nothing }",
]


def assert_requests_are_named_by_their_operations(events):
    """They share one route, and a slow or failed request is grouped by its transaction."""
    for event in events:
        assert event["transaction"] == event["contexts"]["request"]["operation"] == event["tags"]["erp.operation"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_resolver_that_fails(host, library):
    pytest.importorskip(library)
    application = APPLICATION.replace("LIBRARY", LIBRARIES[library])
    host.write(web__py=application, monitors__yaml=webhost.MONITORS.format(more=""))
    asked = [json.dumps({"query": query, "variables": {"p": webhost.SECRETS[3]}}) for query in QUERIES]
    requests = [("POST", "/graphql", body) for body in asked]
    bare = webhost.serve(host, "waitress", "web", requests, agent=False)
    watched = webhost.serve(host, "waitress", "web", requests)
    assert watched.responses == bare.responses
    assert all(response.startswith(b"HTTP/1.1 200 OK") for response in watched.responses)
    assert "agent:" not in watched.printed
    for secret in webhost.SECRETS:
        assert secret.encode() not in watched.raw
    seen = [(event["tags"]["erp.operation"], event["contexts"]["erp"]["function"]) for event in watched.events]
    assert sorted(seen) == [("mutation Order", "createOrder"), ("query Prices", "orders.price")]
    assert {event["tags"]["erp.monitor"] for event in watched.events} == {"unmonitored.graphql"}
    assert_requests_are_named_by_their_operations(watched.events)
    assert watched.health == {"exited": 3, "errored": 2, "crashed": 0}


#: What graphql-core 2 does with a resolver that fails, a list, a promise that is rejected, and a value it cannot make.
OLD_CORE = {
    "graphql/__init__.py": "from .error.located_error import GraphQLError",
    "graphql/error/__init__.py": "",
    "graphql/error/located_error.py": """
class GraphQLError(Exception): pass
class GraphQLLocatedError(GraphQLError):
    def __init__(self, nodes, original_error=None, path=None):
        super(GraphQLLocatedError, self).__init__(str(original_error))
        self.original_error = original_error
""",
    "graphql/execution/__init__.py": "",
    "graphql/execution/utils.py": """
class ExecutionContext(object):
    def __init__(self, operation):
        self.operation, self.errors = operation, []
    def report_error(self, error, traceback=None):
        self.errors.append(error)
""",
    "graphql/execution/executor.py": """
from ..error.located_error import GraphQLLocatedError
from .utils import ExecutionContext
def resolve_or_error(resolve):
    try:
        return resolve()
    except Exception as error:
        return error
def complete_value_catching_error(exe_context, path, result):
    try:
        if isinstance(result, Exception):
            raise GraphQLLocatedError([], original_error=result, path=path)
        return int(result)
    except Exception as error:
        exe_context.report_error(error)
def execute(operation, fields):
    exe_context = ExecutionContext(operation)
    execute_operation(exe_context, operation, fields)
    return [str(error) for error in exe_context.errors]
def execute_operation(exe_context, operation, root_value):
    for path, resolve in root_value:
        complete_value_catching_error(exe_context, path, resolve_or_error(resolve))
""",
}
OLD_APPLICATION = """
import json
from types import SimpleNamespace as Node
from graphql import GraphQLError
from graphql.execution.executor import execute
class OutOfStock(Exception): pass
def fails(): raise OutOfStock("no chair")
def refused(): raise GraphQLError("not for you")
OPERATIONS = [
    (Node(operation="mutation", name=Node(value="Order")), [(["createOrder"], fails), (["home"], lambda: 1)]),
    (Node(operation="query", name=None, selection_set=Node(selections=[Node(name=Node(value="orders"))])),
        [(["orders", 0, "price"], fails), (["orders", 1, "price"], fails), (["refused"], refused)]),
    (Node(operation="query", name=Node(value="Number")), [(["number"], lambda: "seven")]),
]
def application(environ, start_response):
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    operation, fields = OPERATIONS[int(environ["PATH_INFO"][1:])]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(execute(operation, fields)).encode()]
"""


def test_a_resolver_that_fails_in_graphql_core_2(host):
    for name, text in OLD_CORE.items():
        (host.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (host.folder / name).write_text(text)
    host.write(web__py=OLD_APPLICATION, monitors__yaml=webhost.MONITORS.format(more=""))
    requests = [("POST", f"/{number}", json.dumps(webhost.SECRETS[3])) for number in range(3)]
    bare = webhost.serve(host, "waitress", "web", requests, agent=False)
    watched = webhost.serve(host, "waitress", "web", requests)
    assert watched.responses == bare.responses
    assert b"no chair" in watched.responses[0] and b"not for you" in watched.responses[1]
    seen = [(event["tags"]["erp.operation"], event["contexts"]["erp"]["function"]) for event in watched.events]
    assert sorted(seen) == [
        ("mutation Order", "createOrder"),
        ("query Number", "graphql"),
        ("query orders", "orders.price"),
    ]
    assert {event["tags"]["erp.monitor"] for event in watched.events} == {"unmonitored.graphql"}
    assert_requests_are_named_by_their_operations(watched.events)
