"""A real browser on a real MLflow, which holds one brand's questions to the eleven agents."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from examples.brand_analytics.questions import questions
from examples.demo.recording import of_run, record
from tests.browser.ui import MlflowUi
from tests.conftest import StoredMlflow

BRAND = "Kisqali"
EXPERIMENT = f"brand_analytics/{BRAND}/asked"  # others ask the eleven agents too, on the same server
PATIENCE_MS = 30_000
WINDOW = {"width": 1500, "height": 950}
QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser lies."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail("no browser: apt-get install chromium")
    pytest.skip("no browser is installed: chromium, chromium-browser or google-chrome")


@pytest.fixture(scope="session")
def experiment_id(mlflow_server: StoredMlflow, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The brand's experiment, filled by whichever worker comes first."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "browser.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return mlflow_server.experiment(EXPERIMENT)["experiment_id"]
        except httpx.HTTPStatusError:
            asked = of_run("monday", questions(BRAND))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MLFLOW_EXPERIMENT_NAME", "{app}/{brand}/asked")
                record(asked, uri=mlflow_server.uri, data=tmp_path_factory.mktemp("asked"), name="monday")
    return mlflow_server.experiment(EXPERIMENT)["experiment_id"]


# Not for the session: while playwright runs, its thread has an event loop, which other modules' tests could not bear.
@pytest.fixture(scope="module")
def page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=QUIET, viewport=WINDOW
        )
        browser.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield browser.pages[0]
        browser.close()


@pytest.fixture(scope="module")
def ui(page: Page, mlflow_server: StoredMlflow, experiment_id: str) -> MlflowUi:
    """MLflow's UI on the brand's experiment, without its pop-ups. SCREENSHOTS names a folder to fill."""
    pictures = os.environ.get("SCREENSHOTS")
    ui = MlflowUi(page, f"{mlflow_server.uri}/#/experiments/{experiment_id}", Path(pictures) if pictures else None)
    ui.close_popups()
    return ui
