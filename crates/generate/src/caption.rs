//! What a search returns: word ids and how likely the model thinks they are.
//!
//! Not here: the text of the words (`data::Vocabulary::decode`).

/// One generated sentence of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    /// The words in order, END left out.
    pub tokens: Vec<u32>,
    /// True if the sentence ended with END, false if it was cut off at the last allowed step.
    pub finished: bool,
    /// Natural log probability of the sentence, END included: the sum of `word_log_probs`, in
    /// order and in f64. Not divided by the length, as in NeuralTalk.
    pub log_prob: f64,
    /// Natural log probability of each word, then that of END if the sentence is finished.
    pub word_log_probs: Vec<f32>,
}
