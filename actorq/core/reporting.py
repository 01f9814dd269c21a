"""What is said of a supervisor's doings (semantics G): lines for the log, and the error with which it gives up."""

from __future__ import annotations

from actorq.core.remote import describe
from actorq.core.supervision import CLEANUP, Ending, Report
from actorq.errors import RestartIntensityExceeded, SupervisionError
from actorq.model.supervision import SupervisorSpec


def one_line(error: Exception) -> str:
    """``Type: text``; of a supervisor's error, which names its place itself, the text alone. Never raises."""
    info = describe(error, actor="", task_id="", attempts=0)
    text = " ".join(info.message.split())
    return text if isinstance(error, SupervisionError) else f"{info.type_name}: {text}" if text else info.type_name


def line(path: str, report: Report, spec: SupervisorSpec) -> str:
    """A report on the child at ``path`` as one line."""
    why = f" ({one_line(report.error)})" if report.error else ""
    match report.what:
        case "restarting":
            what = f"failed{why}" if report.error else "ended"
            how_often = f"restart {report.count} of {spec.max_restarts} within {spec.within:g} s"
            return f"{path} {what}: {how_often}, in {report.delay:.3g} s"
        case "ended":
            return f"{path} failed{why}: it is not restarted"
        case "failed stopping":
            return f"{path} failed while it was stopped{why}"
        case "left out":
            return f"{path} could not be started{why}: it is left out; correct it and add it again"
        case "stuck":
            waited = f"{path} has not ended {CLEANUP:g} s after it was cancelled and is waited for no more"
            return f"{waited}: look for cleanup that is shielded from cancellation"


def failure(path: str, spec: SupervisorSpec, ending: Ending) -> SupervisionError | None:
    """The error with which the supervisor at ``path`` ends, None if it ends in order. Its cause is the last error."""
    if ending.why in ("stopped", "done"):
        return None
    child, cause = f"{path}/{ending.child}", ending.error
    last = f"{child} ({one_line(cause)})" if cause is not None else f"{child} (ended)"
    advice = "correct it, or allow more with max_restarts and within"
    if isinstance(cause, SupervisionError) and cause.path:  # it names the place, and says what to do
        if ending.why == "not started":
            return cause
        last, advice = one_line(cause), ""
    if ending.why == "not started":
        error = SupervisionError(f"{last} could not be started: correct it and start again", path=child)
    else:
        failures = "1 failure" if ending.count == 1 else f"{ending.count} failures"
        counts = f"{failures} within {spec.within:g} s, more than max_restarts = {spec.max_restarts}"
        text = ": ".join(filter(None, (f"{path} gave up: {counts}; the last: {last}", advice)))
        error = RestartIntensityExceeded(text, path=path)
    error.__cause__ = cause
    return error
