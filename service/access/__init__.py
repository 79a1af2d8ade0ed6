"""Who may call what: tokens, sessions, scopes and origins."""
