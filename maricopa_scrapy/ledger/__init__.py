"""The ledger, the schema `crawl`: jobs, targets, runs and their verdicts.

- target_states (pending, leased, done, gone, dead), ledger (jobs, runs, leases), jobs (plans, turns,
  requested states)
- verdict, expected_targets (may more come?), lost_runs
- source_state (the pace that runs share), yield_floors
- told to a person: progress, statistics, issues, traffic_samples, response_times
- saved_lists (of parcels, by a name or for a schedule)
- cleanup
"""
