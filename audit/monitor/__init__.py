"""A monitor: it follows a territory's log for years and alarms when the log is not one log."""
