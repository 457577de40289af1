"""The operators' actions: a form for each, typed confirmation, reason, and the entry they left."""
