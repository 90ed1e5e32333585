"""What the guard's service says of itself, past its queue: the supervisor beside it decides by that."""

from __future__ import annotations

from omniguard.guard.pace import Pace
from omniguard.guard.service import GuardService
from omniguard.guard.wire import GuardErrorCode, LabelEvent, Priority, StatusEvent
from unit.guard.test_guard_service import CAN, Scripted, Sender, ask, engine, error, service, until

__all__ = ["engine", "service"]  # fixtures


def status(service: GuardService) -> StatusEvent:
    sender = Sender()
    service.submit(b'{"mode": "status"}', [], sender)
    event = sender.result()
    assert isinstance(event, StatusEvent)
    return event


def test_a_model_that_holds_nothing_is_not_silent(service: GuardService) -> None:
    found = status(service)
    assert (found.held, found.answered, found.silent_ms, found.canary, found.p99_ms) == (0, 0, 0.0, "none", 0.0)


def test_silence_is_counted_from_the_first_request_and_ends_with_an_answer(engine: Scripted, service: GuardService) -> None:
    waiting = ask(service, "first")
    until(lambda: status(service).silent_ms > 50)
    assert status(service).held == 1
    assert ask(service, "other").result().kind == "label"
    assert status(service).silent_ms < 50 + 1000
    engine.gate.set()
    waiting.result()
    found = status(service)
    assert (found.held, found.answered, found.silent_ms) == (0, 2, 0.0)
    assert found.p99_ms >= 50


def test_an_expired_deadline_is_no_answer(engine: Scripted, service: GuardService) -> None:
    ask(service, "first")
    until(lambda: engine.seen == ["first"])
    before = status(service).silent_ms
    assert error(ask(service, "late", deadline_ms=20)).code is GuardErrorCode.DEADLINE
    after = status(service)
    assert (after.answered, after.silent_ms >= before + 20) == (0, True)


def test_a_refusal_and_a_failure_are_signs_of_life(engine: Scripted, service: GuardService) -> None:
    ask(service, "other endless")
    for words in ("refuse", "crash"):
        until(lambda: status(service).silent_ms > 30)
        error(ask(service, words))
        assert status(service).silent_ms < 30 + 1000
    assert status(service).answered == 0


def test_the_canary_waits_first_in_line_then_computes(engine: Scripted, service: GuardService) -> None:
    ask(service, "first")
    until(lambda: engine.seen == ["first"])
    ask(service, "second")
    canary = ask(service, "canary", priority=Priority.CANARY)
    until(lambda: status(service).canary == "waiting")
    until(lambda: status(service).canary_ms > 20)
    engine.gate.set()
    assert isinstance(canary.result(), LabelEvent)
    assert engine.seen[:2] == ["first", "canary"]
    assert status(service).canary == "none"


def test_one_canary_gets_in_where_the_model_is_full(engine: Scripted, service: GuardService) -> None:
    held = [ask(service, f"{n}") for n in range(4)]
    assert error(ask(service, "one too many")).code is GuardErrorCode.UNAVAILABLE
    canary = ask(service, "canary", priority=Priority.CANARY)
    until(lambda: status(service).canary == "waiting")
    assert error(ask(service, "another", priority=Priority.CANARY)).code is GuardErrorCode.UNAVAILABLE
    engine.gate.set()
    assert all(sender.result().kind == "label" for sender in (*held, canary))


def test_waiting_is_told_by_priority_and_ends_with_the_wait(engine: Scripted, service: GuardService) -> None:
    assert status(service).waiting == ()
    held = [ask(service, "first")]
    until(lambda: engine.seen == ["first"])
    assert status(service).waiting == (), "what is computed does not wait"
    held += [ask(service, words, priority=priority) for words, priority in (("a", 1), ("b", 1), ("c", Priority.LATE_LABEL))]
    held.append(ask(service, "canary", priority=Priority.CANARY))
    until(lambda: [(each.priority, each.requests) for each in status(service).waiting] == [(1, 2), (3, 1)])
    until(lambda: min(each.oldest_ms for each in status(service).waiting) > 20)
    live, late = status(service).waiting
    assert live.oldest_ms >= late.oldest_ms
    engine.gate.set()
    assert all(sender.result().kind == "label" for sender in held)
    assert status(service).waiting == ()


def test_labels_that_an_engine_takes_and_cannot_compute_together_wait_as_well(engine: Scripted) -> None:
    """vLLM queues by itself what is more than one step of it."""
    engine.capabilities = lambda: CAN.model_copy(update={"at_once": 1})  # type: ignore[method-assign]
    service = GuardService(engine)
    try:
        held = [ask(service, "first", priority=Priority.LATE_LABEL), ask(service, "other endless", priority=Priority.LIVE_LABEL)]
        until(lambda: [(each.priority, each.requests) for each in status(service).waiting] == [(Priority.LATE_LABEL, 1)])
        engine.gate.set()
        assert held[0].result().kind == "label"
        assert status(service).waiting == ()
    finally:
        service.close()


def test_the_p99_is_of_the_last_answers_without_canaries() -> None:
    pace = Pace()
    assert pace.status(0, None).p99_ms == 0.0
    for number in range(1, 201):
        pace.answered(float(number))
    pace.answered(None)
    found = pace.status(0, None)
    assert (found.p99_ms, found.answered) == (198.0, 201)
    for _ in range(512):
        pace.answered(1.0)
    assert pace.status(0, None).p99_ms == 1.0
