"""`python -m beefirst`."""

from beefirst.cli import main

raise SystemExit(main())
