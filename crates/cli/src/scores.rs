//! Scores of an evaluation's captions.
