"""Work that may hang or crash, as libraries in C do on damaged files, in a process of its own."""

import multiprocessing
from collections.abc import Callable

SECONDS = 8


def apart(work: Callable, *arguments):
    """work(*arguments), or what it raises.  Raises TimeoutError after 8 s, EOFError when the process died."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)  # a few ms, not a fresh interpreter
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(send, work, arguments), daemon=True)
    process.start()
    send.close()
    try:
        if not receive.poll(SECONDS):
            raise TimeoutError(f"reading took more than {SECONDS} s")
        result, error = receive.recv()
    except EOFError as e:
        raise EOFError("reading crashed") from e
    finally:
        process.kill()
        process.join()
    if error is not None:
        raise error
    return result


def _run(send, work: Callable, arguments: tuple) -> None:
    try:
        outcome = work(*arguments), None
    except Exception as e:
        outcome = None, e if type(e).__reduce__ is Exception.__reduce__ else ValueError(str(e))
    send.send(outcome)
