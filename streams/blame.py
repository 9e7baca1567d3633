"""Whom a failure is blamed on: the record at hand, or the process that failed on it."""

from collections.abc import Iterator

from features.errors import UserError
from streams.messages.refusals import RefusedError

# How native code reports that memory or threads have run out, under names of its own.
_NATIVE = ("bad_alloc", "bad allocation", "can't start new thread", "out of memory")
_NATIVE_ERRORS = ("RuntimeError", "SystemError", "XGBoostError", "ArrowException")


def is_the_processes(error: BaseException) -> bool:
    """Whether only the process, or what it runs on, can be at fault: no record may be given up for it.

    So it is with memory (pyarrow's error is a MemoryError), threads, files and connections (OSError), and with what an operator has to fix
    (UserError); also where another error was raised from one of these. Too deep a recursion is the record's, which is nested so deeply.
    """
    return any(_is_alone(each) for each in _with_causes(error))


def refusal(error: Exception, stage: str) -> RefusedError:
    """How a record is refused on which a stage failed, with nobody else to blame. Raises the error itself if it is the process's."""
    if is_the_processes(error):
        raise error
    return RefusedError("processing_failed", f"{stage} failed on this record ({type(error).__name__}); see its log for why")


def _is_alone(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, OSError, UserError)) or not isinstance(error, Exception):
        return True
    # By name, for not every stage has imported what raises them; a ValueError might quote a record that holds such words.
    return type(error).__name__ in _NATIVE_ERRORS and any(words in str(error).lower() for words in _NATIVE)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__
