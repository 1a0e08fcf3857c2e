"""Everything a persistent evaluator needs to talk to evalsweep, in one file without dependencies.

    from evalsweep_evaluator import UnitError, metric, serve

    def score(unit):
        model = load(unit["checkpoint"])                       # keep it for the next unit
        if unit["task"] not in TASKS:
            raise UnitError("no such task", retry=False)
        value = evaluate(model, unit["layer"], unit["task"])
        return {"main_score": value, "metrics": [metric("accuracy", value)]}

    serve(score)

`score` gets one request as a dict: unit, checkpoint, layer, task, output_dir, attempt, bundle (the
layers of this checkpoint and task that come to this worker together: one forward pass can serve
all of them) and, when it is known, next_checkpoint. It returns a dict with main_score and, all
optional, metrics (a list of metric(...)), load_s, pass_s and score_s (how long loading the
checkpoint, the forward pass and the scoring took; they make the schedule better), and attributes:
what holds of every unit, such as {"model": "x", "pooling": "mean"}, texts, numbers or bools by
name, which become attributes evaluator_model, evaluator_pooling of the store.

A UnitError becomes an error reply with its text; any other exception becomes one too, its traceback
goes to the unit's log.txt and the unit is tried again. What is printed goes to log.txt and cannot
disturb the protocol. A missing score is None or NaN.

By hand, without evalsweep, replies are printed on stdout:

    echo '{"unit":0,"checkpoint":"step8","layer":2,"task":"WineKNN"}' | python3 my_evaluator.py
"""

import fcntl
import json
import math
import os
import stat
import sys
import traceback

__all__ = ["UnitError", "metric", "serve"]


class UnitError(Exception):
    """This unit cannot be scored. retry=False: trying again cannot help."""

    def __init__(self, message, retry=True):
        super().__init__(message)
        self.retry = retry


def metric(name, value, split="test", subset="default"):
    """One entry of a result's list of metrics."""
    return {"split": split, "subset": subset, "metric": name, "value": value}


def serve(score):
    """Answers requests with score(request) until stdin is closed."""
    replies = _open_replies()  # first: else a descriptor of ours may get the number of a closed one
    requests = _open_requests()
    for line in requests:
        if line.strip():
            reply = _answer(score, json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            replies.write(_encode(reply))
            replies.flush()


def _answer(score, request):
    try:
        reply = dict(score(request))
        reply.update(unit=request["unit"], status="ok")
        _encode(reply)  # a result that is no JSON is this unit's failure, not the process's
        return reply
    except UnitError as error:
        message, retry = str(error), error.retry
    except Exception as error:  # whatever the user's code raises fails the unit, not the process
        traceback.print_exc()
        message, retry = f"{type(error).__name__}: {error}", True
    return {"unit": request["unit"], "status": "error", "error": message, "retry": retry}


def _encode(reply):
    text = json.dumps(_plain(reply), allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def _plain(value):
    """Only what JSON has: numbers of NumPy and torch become floats, NaN and infinities None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    number = float(value)
    return number if math.isfinite(number) else None


def _open_requests():
    """Takes stdin away from everyone else, so that no child process swallows a request."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return requests


def _open_replies():
    descriptor = os.environ.pop("EVALSWEEP_REPLY_FD", None)
    path = os.environ.pop("EVALSWEEP_REPLY_PATH", None)
    if descriptor is not None and (path is None or _is_reply_pipe(int(descriptor))):
        os.set_inheritable(int(descriptor), False)
        return os.fdopen(int(descriptor), "wb")
    if path is not None:
        return open(path, "wb")
    return os.fdopen(os.dup(1), "wb")


def _is_reply_pipe(descriptor):
    """False where a wrapper between evalsweep and us closed it, or used its number again."""
    try:
        mode = os.fstat(descriptor).st_mode
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    return access != os.O_RDONLY and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
