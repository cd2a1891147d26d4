"""MLflow's UI as a person uses it: pages, rows, the span tree."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

_FRAME_MS = 500
_MOST_FRAMES = 20


class MlflowUi:
    """Pages of one experiment.

    Args:
        home: the experiment's address in the UI.
        pictures: folder for screenshots; None takes none.
    """

    def __init__(self, page: Page, home: str, pictures: Path | None) -> None:
        self.page, self._home, self._pictures = page, home, pictures

    def close_popups(self) -> None:
        """Close what covers the first page that a new user opens: a hint, and the assistant's panel."""
        self.page.goto(f"{self._home}/traces")
        self.page.get_by_role("button", name="Got it").click()
        self.page.locator('[data-component-id="mlflow.assistant.chat_panel.close"]').click()

    def open(self, path: str) -> Page:
        """A page by its link, loaded anew as from outside."""
        self.page.goto("about:blank")
        self.page.goto(f"{self._home}/{path}")
        return self.page

    def open_trace(self, trace_id: str) -> Locator:
        """A trace by its deep link: the drawer that shows it."""
        self.open(f"traces?selectedEvaluationId=tr-{trace_id}")
        drawer = self.page.get_by_role("dialog")
        expect(drawer.get_by_text("Inputs / Outputs")).to_be_visible()
        return drawer

    def show_column(self, name: str) -> None:
        """Turn on a column of the trace list."""
        self.page.get_by_role("button", name="Display").click()
        self.page.get_by_text("Columns", exact=True).click()
        self.page.get_by_role("menuitemcheckbox", name=name, exact=True).click()
        for _ in range(2):
            self.page.keyboard.press("Escape")
        expect(self.page.get_by_role("menu")).to_have_count(0)

    def row(self, text: str) -> Locator:
        """The list's row that shows ``text``."""
        return self.page.get_by_role("row").filter(has_text=text)

    def picture(self, name: str, width: int = 1500, height: int = 950) -> None:
        """Keep a screenshot, once the charts have stopped growing."""
        if self._pictures is None:
            return
        usual = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": height})
        self._pictures.mkdir(parents=True, exist_ok=True)
        seen = Image.open(io.BytesIO(self._still())).convert("RGB")
        seen.quantize(256, method=Image.Quantize.FASTOCTREE).save(self._pictures / f"{name}.png", optimize=True)
        if usual:
            self.page.set_viewport_size(usual)

    def _still(self) -> bytes:
        before, now = b"", self.page.screenshot(animations="disabled")
        for _ in range(_MOST_FRAMES):
            if now == before:
                break
            self.page.wait_for_timeout(_FRAME_MS)
            before, now = now, self.page.screenshot(animations="disabled")
        return now


def tree(drawer: Locator) -> list[str]:
    """The span tree's names, top to bottom."""
    return [row.inner_text().splitlines()[0] for row in drawer.locator('[data-testid^="span-title-row-"]').all()]


def select(drawer: Locator, span_id: str) -> None:
    """Click a span in the tree."""
    drawer.get_by_test_id(f"span-text-block-{span_id}").click()


def icon(drawer: Locator, span_id: str) -> str:
    """What a span's icon is drawn of."""
    strokes = drawer.get_by_test_id(f"span-icon-{span_id}").locator("path").all()
    return " ".join(str(stroke.get_attribute("d")) for stroke in strokes)
