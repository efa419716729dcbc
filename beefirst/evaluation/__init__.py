"""The evaluation: promises, the experiments that put them to the test, and the verdicts on them."""
