"""Where an account's equity is and where it should be: targets, drift, rebalance plans and their approval."""
