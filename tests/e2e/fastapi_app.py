"""A FastAPI application, wrapped, for the tests in a browser."""

from fastapi import FastAPI

from asgi_rota_sentry import RotaSentryMiddleware, init

app = FastAPI()


@app.get("/boom")
async def boom() -> None:
    """Fail."""
    raise ZeroDivisionError


init()
application = RotaSentryMiddleware(app)
