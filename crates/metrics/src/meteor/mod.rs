//! METEOR 1.5 for English: alignment of a candidate with its references, and the score.
