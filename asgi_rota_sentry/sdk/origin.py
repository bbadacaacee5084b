"""What the spans of this middleware tell of where they come from."""

ORIGIN = "auto.http.asgi_rota_sentry"
