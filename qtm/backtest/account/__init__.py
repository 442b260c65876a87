"""Many assets and several strategies on one account: cash shared, orders netted, margin in common.

`qtm.backtest.account.engine.run_account` is the way in. The order of events and every price, fee and rounding
are those of the engine for one asset (`qtm.backtest.loop`), whose compiled functions are called here; an
account with one asset and one strategy gives its results bit for bit.
"""
