"""Authentication and authorization: tokens, sessions, scopes and origins."""
