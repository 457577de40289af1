"""What the scheduler remembers: tables, migrations, named transactions with group commit."""
