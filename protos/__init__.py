"""The wire contract: `.proto` sources; the Python code is generated beside them by a build."""
