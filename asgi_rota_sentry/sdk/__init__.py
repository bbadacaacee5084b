"""The only room that knows sentry-sdk."""
