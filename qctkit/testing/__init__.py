"""Contract tests that plugin authors inherit."""
