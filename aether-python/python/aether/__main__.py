"""``python -m aether`` is the command ``aether``."""

import sys

from aether._command import main

if __name__ == "__main__":
    sys.exit(main())
