"""``python -m tests.benchmarks NAME``: measures, on services of its own where it needs any."""

import sys

from features.errors import UserError
from infra.local.errors import ServiceError
from tests.benchmarks.commands.bench import program
from tests.benchmarks.commands.bench_measured import PROGRAM


def main() -> None:
    """Run the benchmark that the arguments name. What the user can change is one line on stderr and exit status 2."""
    try:
        program()(prog_name=" ".join(PROGRAM))
    except (UserError, ServiceError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
