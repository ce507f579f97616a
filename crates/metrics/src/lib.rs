//! Caption scores, from text to numbers, without Java, Perl or Python.
//!
//! Here: the PTB tokenizer, BLEU, ROUGE-L, CIDEr, METEOR, diversity, significance, perplexity, and the
//! readers of caption files. Not here: models, tensors, printing. Every metric says in its file which
//! program's numbers it reproduces (pycocoevalcap 1.2 and NeuralTalk's `multi-bleu.perl`) and to what digit.

pub mod corpus;
pub mod meteor;
pub mod tokenizer;
pub mod words;

pub use corpus::Corpus;
