"""What people see: functions return text; only what shows progress writes it, to a given stream."""
