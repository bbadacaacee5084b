"""The staff rota with Django."""
