"""Use-cases: comparing, stating and verifying."""
