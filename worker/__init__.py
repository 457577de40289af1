"""The agent on one machine: leases work, checks every order by itself, reports until receipted."""
