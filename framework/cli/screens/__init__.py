"""What people see: every function returns text, none prints."""
