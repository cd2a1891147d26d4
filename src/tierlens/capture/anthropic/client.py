"""The wrapped client: a copy of the user's whose ``request`` opens a span and whose copies are wrapped too."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tierlens.capture import active, current
from tierlens.capture.anthropic import routes
from tierlens.capture.anthropic.batches import BatchCall, watched
from tierlens.capture.anthropic.call import Call, under_way
from tierlens.capture.anthropic.responses import settle, when_parsed
from tierlens.capture.anthropic.streams import observe
from tierlens.capture.places import Place, here
from tierlens.capture.recorder import Recorder

Client = TypeVar("Client")


def is_client(value: object) -> bool:
    """Whether ``value`` is a client of the anthropic package, or of a subclass of one."""
    packages = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    return "anthropic" in packages and hasattr(type(value), "with_middleware")


def wrap_client(client: Client) -> Client:
    """A copy of ``client`` whose model calls are recorded; ``client`` itself stays as it is.

    The copy shares its connections. A client that is wrapped already is returned as it is.
    """
    return client if "request" in vars(client) and _is_counted(client) else wrapped(client, here)


def wrapped(client: Any, place: Place) -> Any:
    """A copy of ``client`` whose spans stand where ``place`` says."""
    own = type(client).copy(client) if _is_counted(client) else client.with_middleware(_counter(client))
    # The client's own copy() forgets this one, and with it which answers raise.
    own._strict_response_validation = getattr(client, "_strict_response_validation", False)
    return _installed(own, place)


def _is_counted(client: Any) -> bool:
    return any(one is _try or one is _async_try for one in client.middleware)


def _counter(client: Any) -> Callable[..., Any]:
    return _async_try if inspect.iscoroutinefunction(type(client).request) else _try


def _installed(own: Any, place: Place) -> Any:
    """Put the recording methods on the instance: the type stays, since the client asks for its own exact type."""
    plain = own.request
    request = _async_request if inspect.iscoroutinefunction(plain) else _request
    vars(own).update(
        request=request(own, plain, place),
        copy=_copying(own, own.copy, place),
        with_options=_copying(own, own.with_options, place),
    )
    return own


def _copying(own: Any, plain: Callable[..., Any], place: Place) -> Callable[..., Any]:
    def copy(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)
        return _installed(made if _is_counted(made) else made.with_middleware(_counter(made)), place)

    return copy


def _request(own: Any, plain: Callable[..., Any], place: Place) -> Callable[..., Any]:
    def request(cast_to: Any, options: Any, **kwargs: Any) -> Any:
        call = _begin(own, options, place)
        with _under(call):
            result = plain(cast_to, options, **kwargs)
        _settle(own, options, place, call, result)
        return result

    return request


def _async_request(own: Any, plain: Callable[..., Awaitable[Any]], place: Place) -> Callable[..., Any]:
    async def request(cast_to: Any, options: Any, **kwargs: Any) -> Any:
        call = _begin(own, options, place)
        with _under(call):
            result = await plain(cast_to, options, **kwargs)
        _settle(own, options, place, call, result)
        return result

    return request


def _begin(own: Any, options: Any, place: Place) -> Call | None:
    """Open the span of a request for a message or a batch; None for others, or where nothing records."""
    recorder = active.recorder()
    if recorder is None:
        return None
    try:
        kind = Call if routes.asks_for_message(options) else BatchCall if routes.makes_batch(options) else None
        if kind is None:
            return None
        limit = options.get_max_retries(own.max_retries) + 1
        parent, context = place(recorder)
        opened = recorder.start(object(), kind.name, kind.kind, parent=parent, context=context)
        return kind(recorder, opened, options.json_data, limit, routes.provider_of(own))
    except Exception as error:
        recorder.shield.report("opening the span of a call of Claude", error)
        return None


@contextmanager
def _under(call: Call | None) -> Iterator[None]:
    token = under_way.set(call)
    try:
        if call is None:
            yield
        else:
            with current.inside(call.opened):
                yield
    except BaseException as error:
        if call is not None:
            call.raised(error)
        raise
    finally:
        current.put_back(under_way, token)


def _settle(own: Any, options: Any, place: Place, call: Call | None, result: Any) -> None:
    if call is not None:
        settle(call, result)
    elif (recorder := active.recorder()) is not None:
        try:
            _watch_results(recorder, own, options, place, result)
        except Exception as error:
            recorder.shield.report("reading the results of a batch", error)


def _watch_results(recorder: Recorder, own: Any, options: Any, place: Place, result: Any) -> None:
    batch_id = routes.batch_read(options)
    if batch_id is None:
        return
    reader, context = place(recorder)

    def watch(lines: Any) -> None:
        if hasattr(lines, "_iterator"):
            results = watched(recorder, batch_id, routes.provider_of(own), reader, context)
            if results is not None:
                observe(lines, results)

    when_parsed(result, watch, recorder.shield)


def _try(request: Any, call_next: Callable[[Any], Any]) -> Any:
    """Middleware, run by the client once a try, whose request is then as it will be sent."""
    if (call := under_way.get()) is None:
        return call_next(request)
    with _one_try(call, request):
        response = call_next(request)
    call.got(response)
    return response


async def _async_try(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    if (call := under_way.get()) is None:
        return await call_next(request)
    with _one_try(call, request):
        response = await call_next(request)
    call.got(response)
    return response


@contextmanager
def _one_try(call: Call, request: Any) -> Iterator[None]:
    call.trying(request.json)
    try:
        yield
    except BaseException as error:
        call.missed(error)
        raise
