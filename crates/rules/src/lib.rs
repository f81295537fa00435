//! Ordered rules: conditions, actions, tables, evaluation with its explanation, static analysis.
