"""`python -m weatherglass`."""

import sys

from weatherglass.cli.main import main

sys.exit(main())
