"""Which errors are worth another try: running out of memory and the network are, what is wrong with
a task, its data or its name is not."""

import os
import sys
import traceback
from collections.abc import Iterator

from evalsweep_evaluator import UnitError

# By name: hub and data sets have changed their HTTP library more than once.
NETWORK_ERRORS = {
    "ConnectionError", "ConnectError", "ConnectTimeout", "Timeout", "TimeoutError",
    "TimeoutException", "TransportError", "ProtocolError", "IncompleteRead", "ChunkedEncodingError",
    "ClientConnectionError", "XetDownloadError",
}  # fmt: skip
TEMPORARY_STATUS = {408, 425, 429, 500, 502, 503, 504}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
# What Python raises for the same input each time.
LASTING_ERRORS = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    NotImplementedError, ImportError, FileNotFoundError,
)  # fmt: skip


def is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def unit_error(error: Exception, doing: str, when_offline: str = "") -> UnitError:
    """What to reply for `error`; when_offline says what to do about it with HF_HUB_OFFLINE=1."""
    if isinstance(error, UnitError):
        return error
    leave_if_device_is_lost(error)
    traceback.print_exception(error)
    if when_offline and is_offline() and (is_network(error) or _is_missing_file(error)):
        return UnitError(f"{doing}: {when_offline}", retry=False)
    return UnitError(f"{doing}: {type(error).__name__}: {error}", retry=is_temporary(error))


def is_temporary(error: BaseException) -> bool:
    if is_out_of_memory(error) or is_network(error):
        return True
    # A data set that cannot be built says so in an exception of its library, whose cause is deeper.
    from datasets.exceptions import DatasetsError

    return not isinstance(error, (*LASTING_ERRORS, DatasetsError)) and not _has_status(error)


def is_out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(one, MemoryError) or any(text in str(one).lower() for text in OUT_OF_MEMORY)
        for one in _chain(error)
    )


def is_network(error: BaseException) -> bool:
    """Also a server that is down or overloaded; but no answer such as "not found"."""
    for one in _chain(error):
        if _has_status(one):
            return one.response.status_code in TEMPORARY_STATUS
        if any(base.__name__ in NETWORK_ERRORS for base in type(one).__mro__):
            return True
    return False


def leave_if_device_is_lost(error: BaseException) -> None:
    """After some errors nothing works on the GPU in this process any more: a new one has to start.

    Its end, without a reply, fails the attempt.
    """
    import torch

    accelerator_error = getattr(torch, "AcceleratorError", ())
    if isinstance(error, accelerator_error) and not is_out_of_memory(error):
        traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(70)


def _is_missing_file(error: BaseException) -> bool:
    return any(isinstance(one, FileNotFoundError) for one in _chain(error))


def _has_status(error: BaseException) -> bool:
    return getattr(getattr(error, "response", None), "status_code", None) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
