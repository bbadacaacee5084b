"""A small staff rota, once with Starlette and once with Django, and the story that drives either."""
