"""`python -m asgi_rota_sentry` does what `asgi-rota-sentry` does."""

import sys

from asgi_rota_sentry.cli import main

sys.exit(main())
