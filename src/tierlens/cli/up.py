"""``tierlens up`` and ``tierlens ui``: a local MLflow server, in the foreground, until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import webbrowser
from pathlib import Path
from typing import Annotated, Final

import typer

from tierlens.errors import ServerNotStarted
from tierlens.local import MlflowServer, ServerPlan
from tierlens.local.stopping import Told, told_by_signals

_POLL_S: Final = 0.5

Port = Annotated[
    int | None, typer.Option(help="Port to listen on; without it, 5000 or the next free one.", min=0, max=65535)
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all, without a log-in.")]
Workers = Annotated[int, typer.Option(help="Server processes, 260 MB each.", min=1)]
AllowedHosts = Annotated[str, typer.Option(help="Names that browsers may call it by, beside localhost.")]
Open = Annotated[bool, typer.Option("--open", help="Open the UI in a browser.")]


def up(
    data: Annotated[Path, typer.Option(help="Folder that holds everything; made if missing.")] = Path("var/mlflow"),
    port: Port = None,
    host: Host = "127.0.0.1",
    workers: Workers = 1,
    postgres: Annotated[bool, typer.Option("--postgres", help="PostgreSQL, from its wheel, not SQLite.")] = False,
    allowed_hosts: AllowedHosts = "",
    open_browser: Open = False,
) -> None:
    """Start a local MLflow server with its UI on a data folder. Ctrl-C stops it; the data stays.

    Examples:

      tierlens up

      tierlens up --data var/demo --port 5005 --open

      tierlens up --postgres --workers 2
    """
    if not postgres and (data / "postgres").is_dir():
        typer.echo(f"{data} holds a PostgreSQL already: serving that.")
        postgres = True
    serve(ServerPlan(data, host, port, workers, postgres, allowed_hosts), open_browser=open_browser)


def ui(
    data: Annotated[Path, typer.Argument(help="Folder of an earlier `tierlens up` or demo.")] = Path("var/mlflow"),
    port: Port = None,
    host: Host = "127.0.0.1",
    workers: Workers = 1,
    allowed_hosts: AllowedHosts = "",
    open_browser: Open = False,
) -> None:
    """Open MLflow's UI on a data folder that exists.

    Examples:

      tierlens ui var/demo --open
    """
    postgres = (data / "postgres").is_dir()
    if not postgres and not (data / "mlflow.db").is_file():
        typer.echo(f"{data}: holds no mlflow.db and no postgres/; `tierlens up --data {data}` makes one", err=True)
        raise typer.Exit(1)
    serve(ServerPlan(data, host, port, workers, postgres, allowed_hosts), open_browser=open_browser)


def serve(plan: ServerPlan, *, open_browser: bool = False) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then stop all that was started.

    Raises:
        typer.Exit: with 1, where the server did not start, or ended by itself.
    """
    server = MlflowServer(plan)
    with contextlib.suppress(Told), told_by_signals():
        typer.echo(f"Starting MLflow on {plan.data} …")
        try:
            with server:
                _greet(plan, server.uri)
                if open_browser:
                    webbrowser.open(server.uri)
                while server.wait(_POLL_S) is None:
                    pass
        except ServerNotStarted as e:
            typer.echo(str(e), err=True)
            raise typer.Exit(1) from e
        typer.echo(f"MLflow ended by itself; the end of {server.log}:\n{server.log_tail()}", err=True)
        raise typer.Exit(1)
    typer.echo(f"Stopped. The data stays in {plan.data}.")


def _greet(plan: ServerPlan, uri: str) -> None:
    typer.echo(f"MLflow is up:    {uri}")
    typer.echo(f"Deliver to it:   export MLFLOW_TRACKING_URI={uri}")
    typer.echo("Stop it:         Ctrl-C")
    if not _is_loopback(plan.host):
        typer.echo(f"Whoever reaches {plan.host} can read and change everything: there is no log-in.", err=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
