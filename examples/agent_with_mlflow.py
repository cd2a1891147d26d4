"""The smallest agent with a tool, and the five lines that attach tierlens to it.

    python -m examples.agent_with_mlflow

Where the trace goes is said by MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import math

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from scipy.stats import norm

import tierlens  # 1
from examples.brand_analytics.claude import claude

QUESTION = "What sample size per arm detects an effect of 0.5 new starts, with a standard deviation of 1.2?"


@tool
def sample_size(effect: float, standard_deviation: float) -> dict[str, int]:
    """Sample size per arm for 80 % power at the 5 % level, two-sided."""
    quantiles = norm.ppf(0.975) + norm.ppf(0.8)
    return {"sample_size_per_arm": math.ceil(2 * (quantiles * standard_deviation / effect) ** 2)}


def main() -> None:
    lens = tierlens.init()  # 2
    with claude() as (llm, which):
        agent = create_agent(llm, [sample_size], system_prompt="You are a statistician. Use your tools.")
        callback = lens.callback(brand="Kisqali", user="analyst-1")  # 3
        answer = agent.invoke({"messages": [HumanMessage(QUESTION)]}, {"callbacks": [callback]})  # 4
    print(f"Asked {which}.\n{answer['messages'][-1].text}")
    print(lens.flush(timeout_s=30))  # 5


if __name__ == "__main__":
    main()
