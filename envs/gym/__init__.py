"""The Gymnasium environment: `ToolEnv`, its spaces, its wrappers."""
