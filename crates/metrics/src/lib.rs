//! Caption scores, from text to numbers, without Java, Perl or Python.
//!
//! Here: the PTB tokenizer, BLEU, ROUGE-L, CIDEr, METEOR, diversity, significance, perplexity, and the
//! readers of caption files. Not here: models, tensors, printing. Every metric says in its file which
//! program's numbers it reproduces (pycocoevalcap 1.2 and NeuralTalk's `multi-bleu.perl`) and to what digit.

pub mod bleu;
pub mod cider;
pub mod consensus;
pub mod corpus;
pub mod diversity;
pub mod document_frequency;
pub mod input;
pub mod meteor;
mod metric;
pub mod multi_bleu;
mod ngrams;
pub mod perplexity;
pub mod rouge;
mod score;
mod scores;
pub mod self_cider;
pub mod significance;
pub mod tokenizer;
pub mod words;

pub use consensus::Consensus;
pub use corpus::Corpus;
pub use metric::Metric;
pub use ngrams::MAX_ORDER;
pub use score::{Options, score, score_while_loading};
pub use scores::{Score, Scores};
pub use tokenizer::Tokenizer;
