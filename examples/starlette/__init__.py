"""The staff rota with Starlette."""
