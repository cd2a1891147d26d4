"""What an operator does with a journal: look it over, drain it, repair it, compare it with MLflow, erase from it."""
