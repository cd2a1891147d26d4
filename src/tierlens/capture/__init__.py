"""Framework in, span out: everything that runs on the agent's thread.

What comes in:

    callback, callback_runs, callback_models, callback_tools   LangChain's and LangGraph's events
    inline, autolog, graphs, timeouts   what those have to know beside: threads, MLflow's tracer, the call stack
    decorators, calls, compressors, wrapping, anthropic   functions, compressors and clients that are wrapped
    asking, tracker   Claude in one line; calls that a program tells of itself
    otel, conventions   other libraries' spans
    notes, measuring, tagging, files   what code says of its span: metrics, tags, artifacts

Where it belongs:

    active, current, places   the span that running code is in
    threads, propagation   the same in other threads, and in other services
    ended, late, outliving, resuming   work whose span has ended, or whose thread waited for a person

What becomes of it:

    recorder, trace, opening, starts, sampling   spans that are open, and which of them are journalled
    chains, outcomes, stacks   nodes and graphs, and how they end
    models, messages, parameters, usage, beside, estimates   model calls
    rag, origins, passages   retrieval, re-ranking, and what of it a prompt holds
    contents, state, ledger, heads, payload, shapes, paths, previews   inputs and outputs, as they are stored
    privacy, withheld, redaction   what is taken out before the disk
    invocations   what MLflow's runs are to know
    shield   what goes wrong in here stays in here
"""
