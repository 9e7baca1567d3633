"""A ``tidemark`` command as a child: ``python -m api.cli.child PARENT COMMAND …`` ends with its parent, however that ends."""

import sys

from streams.workers.parent import end_with

if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))

    from api.cli import main

    main()
