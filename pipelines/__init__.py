"""When and how the assets are made: definitions, jobs, schedules, sensors, resources."""
