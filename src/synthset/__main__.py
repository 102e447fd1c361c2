"""`python -m synthset`: the same as `synthset`."""

import sys

from synthset.cli import main

sys.exit(main())
