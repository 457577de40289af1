"""The cooperative's programs: root ceremony, college, status, witness; separate keys and uids."""
