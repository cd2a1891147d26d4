"""A message's blocks as text: what was said, and what the provider's own tools were asked and found."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import WebSearchResultBlock
from langchain_core.messages import AIMessage

from tierlens.capture import previews
from tierlens.capture.messages import as_message, content_text

FOUND = {"type": "web_search_result", "url": "http://x.org", "title": "Uplift", "encrypted_content": "E" * 500}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "uplift"}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [FOUND]}
TEXT = {"type": "text", "text": "It is 3.2."}


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (SEARCH, '[web_search {"query":"uplift"}]'),
        ({**SEARCH, "input": '{"query": "up'}, '[web_search {"query": "up]'),
        (RESULT, "[web_search_tool_result] Uplift http://x.org"),
        ({**RESULT, "content": [WebSearchResultBlock(**FOUND)]}, "[web_search_tool_result] Uplift http://x.org"),
        ({**RESULT, "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}},
         "[web_search_tool_result] max_uses_exceeded"),
        ({"type": "code_execution_tool_result", "content": {"stdout": "1", "stderr": "", "content": []}},
         "[code_execution_tool_result] 1"),
        ({"type": "mcp_tool_use", "name": "crm", "server_name": "s", "input": {"id": 7}}, '[crm {"id":7}]'),
        ({"type": "mcp_tool_result", "content": [{"type": "text", "text": "Berlin"}]}, "[mcp_tool_result] Berlin"),
        ({"type": "compaction", "content": "So far: nothing."}, "[compaction] So far: nothing."),
        ({"type": "compaction", "content": None}, "[compaction]"),
        ({"type": "container_upload", "file_id": "file_1"}, "[container_upload file_1]"),
        ({"type": "image", "source": {"type": "file", "file_id": "file_2"}}, "[image file_2]"),
        ({"type": "redacted_thinking", "data": "abc"}, ""),
    ],
)  # fmt: skip
def test_a_block_says_what_was_asked_and_found(block: dict[str, Any], text: str) -> None:
    assert content_text([block]) == text
    assert as_message({"role": "assistant", "content": [block, TEXT]})["content"] == f"{text}\n{TEXT['text']}".lstrip()


def test_the_answer_in_the_list_of_traces_is_what_was_said_alone() -> None:
    assert previews.answer({"messages": [AIMessage([SEARCH, RESULT, TEXT])]}, "") == "It is 3.2."
    assert previews.answer("It is 3.2.", "") == "It is 3.2."
