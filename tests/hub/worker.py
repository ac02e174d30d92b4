"""Runs the command line again and again in one process of its own, so that each test need not start one.

Reads a JSON list of arguments and a mapping of environment variables from each line of its input, and writes the
exit status and what was printed.
"""

import contextlib
import io
import json
import os
import sys

from diffexplain import cli

for line in sys.stdin:
    arguments, environment = json.loads(line)
    os.environ.update(environment)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = cli.main(arguments)
    for name in environment:
        del os.environ[name]
    print(json.dumps([status, printed.getvalue()]), flush=True)
