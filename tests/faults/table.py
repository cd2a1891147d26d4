"""The rows, as the table of faults has them."""

from __future__ import annotations

from tests.faults import answers, clocks, damage, disks, endings, kills, outages, poison, soaks
from tests.faults.rows import Row

ROWS = (
    Row(1, "kill -9, shipper idle", "0 lost, adopted ≤ 5 s", kills.idle),
    Row(2, "kill -9 inside a write of 64 KB, 1 MB", "0 accepted lost, ≤ 1 torn line a kill", kills.inside_a_write),
    Row(3, "kill -9 during a model call", "shown ≤ 10 s: ERROR, process died, prompt", kills.inside_a_model_call),
    Row(4, "SIGTERM, default and under gunicorn", "0 lost, the host's own handlers untouched", endings.sigterm),
    Row(5, "clean exit, backend down", "exit delayed ≤ 0.5 s (MLflow: > 295 s), 0 lost", outages.clean_exit),
    Row(6, "os.fork x 8 while active", "0 lost, no hang, own segments, no duplicates", endings.forks),
    Row(7, "gunicorn --preload x 4, max_requests", "all sent, 0 lost", endings.preloaded),
    Row(8, "child os._exit after one task", "every task (OTel: 1 of 10)", endings.one_task_each),
    Row(9, "parent dies, child lives", "parent's segment adopted ≤ 10 s", kills.only_the_parent),
    Row(10, "backend down one hour", "drained ≤ 15 min, memory + ≤ 30 MB", outages.an_hour),
    Row(11, "429 with Retry-After, 500, 503", "0 lost, Retry-After honoured ± 20 %", answers.overloaded),
    Row(12, "backend 30 s slow", "agent-side p99 within + 10 % of baseline", outages.slow),
    Row(13, "request taken, answer lost", "0 duplicate rows, equal token totals", answers.answer_lost),
    Row(13, "the same on PostgreSQL", "0 duplicate rows, equal token totals", answers.answer_lost, "PostgreSQL"),
    Row(14, "200 but 1 % not stored", "reconciliation finds all, re-sends", answers.not_stored),
    Row(15, "413 at 1 MB; one 3 MB span", "truncated with digest, whole in dead-letter", answers.too_large),
    Row(16, "poison: values and spans", "only the poison isolated, 0 innocent lost", poison.among_innocents),
    Row(17, "401 for 10 min, then a new token", "0 lost, ≤ 1 alarm a minute", outages.kept_out),
    Row(18, "disk full (8 MB), RLIMIT_FSIZE", "host never raises, writes again ≤ 5 s after space", disks.full_disk),
    Row(19, "journal's quota reached (10 MB)", "disk ≤ quota + one segment, loss marker exact", disks.quota),
    Row(20, "bit flip, truncation, zero fill", "every undamaged line recovered", damage.files),
    Row(21, "any order of events, crashes included", "0 counterexamples", damage.any_order),
    Row(22, "crash between every two system calls", "no accepted loss, no crash loop", damage.every_system_call),
    Row(23, "clock ± 1 day", "no drop, no early lease, order kept", clocks.a_day_off),
    Row(24, "frozen process: SIGSTOP, SIGCONT", "0 lost, no retry storm", clocks.frozen),
    Row(25, "soak: 8 threads, random faults", "p50 ≤ 15 µs, p99 ≤ 50 µs, memory's slope about 0", soaks.soak),
)
