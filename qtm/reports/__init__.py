"""Reports for people: tear sheets and the daily risk report, as HTML with their data beside them."""
