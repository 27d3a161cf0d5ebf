"""Built-in plug-ins, written in the same form as a user's own file (docs/plugins.md)."""
