"""What good data is: profiles by SQL, judged by Great Expectations, verdicts and waivers in the lake."""
