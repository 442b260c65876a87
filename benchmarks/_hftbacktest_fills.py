"""Every fill of a W4 strategy in hftbacktest, in the peers' environment.

`_hftbacktest_fills.py FILE.npz ANSWER.npz OPTIONS`, the options of `_peer_fills.fills_there` as JSON.
"""

import json
import sys

import numpy as np
from _hftbacktest import backtest, fills_of, load


def main():
    options = json.loads(sys.argv[3])
    events = load(sys.argv[1])
    engine = backtest(events, options["partial"], options["queue_power"])
    fills = np.zeros((4 * len(events), 4), np.int64)
    count = fills_of(
        engine, options["late_ns"], options["step_ns"], options["look_ns"], options["lots"] / 1_000,
        options["behind"], options["most"] / 1_000, options["most_short"] / 1_000, fills,
    )  # fmt: skip
    values = engine.state_values(0)
    fee, booked = float(values.fee), int(values.num_trades)
    engine.close()
    np.savez(sys.argv[2], fills=np.unique(fills[:count], axis=0))
    print(json.dumps({"name": "hftbacktest 2.4.4", "fee": fee, "booked": booked}))


if __name__ == "__main__":
    main()
