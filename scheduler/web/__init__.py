"""The operators' and auditors' pages: routes and templates over `scheduler.views`."""
