//! What has to be known to build a sentence decoder: sizes and switches, no weights.
//!
//! Letters as everywhere: D feature width, E embedding width, H hidden width, V vocabulary.
//! These structs are written into every checkpoint, so a field is never renamed lightly.

use serde::{Deserialize, Serialize};

/// Which decoder, with its sizes. The enum is the list of decoders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "generator", rename_all = "kebab-case")]
pub enum DecoderConfig {
    /// `lstm_generator.py` of NeuralTalk: the picture is the first input of an LSTM.
    Lstm(LstmConfig),
    /// `rnn_generator.py` of NeuralTalk: the picture is added to the recurrence.
    Rnn(RnnConfig),
}

/// Sizes of the LSTM decoder.
///
/// Parameters, all row-major (in, out): `projection.weight` (D, E), `projection.bias` (E),
/// `embedding.weight` (V, E), `lstm.input` (E, 4H), `lstm.hidden` (H, 4H), `lstm.bias` (4H),
/// `output.weight` (H, V), `output.bias` (V). Gates are packed i, f, o, g.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LstmConfig {
    /// D, width of a picture's feature vector.
    pub feature: usize,
    /// E, width of the projected picture and of a word's embedding (NeuralTalk needs E = H).
    pub embedding: usize,
    /// H, width of the hidden and cell state.
    pub hidden: usize,
    /// V, words with END/START at 0.
    pub vocabulary: usize,
    /// NeuralTalk's `tanhC_version`: h = o ⊙ tanh(c) if true, h = o ⊙ c (its default) if false.
    pub tanh_c: bool,
}

/// Sizes of the RNN decoder.
///
/// Parameters, all row-major (in, out): `projection.weight` (D, H), `projection.bias` (H),
/// `embedding.weight` (V, E), `rnn.input.weight` (E, H), `rnn.input.bias` (H),
/// `rnn.hidden.weight` (H, H), `rnn.hidden.bias` (H), `output.weight` (H, V), `output.bias` (V).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RnnConfig {
    /// D, width of a picture's feature vector.
    pub feature: usize,
    /// E, width of a word's embedding.
    pub embedding: usize,
    /// H, width of the hidden state and of the projected picture.
    pub hidden: usize,
    /// V, words with END/START at 0.
    pub vocabulary: usize,
    /// NeuralTalk's `rnn_relu_encoders`: a ReLU after the picture's and the words' projections.
    pub relu_encoders: bool,
    /// NeuralTalk's `rnn_feed_once`: the picture is added at the first step only.
    pub feed_once: bool,
}

impl DecoderConfig {
    /// D, width of the feature vector that the decoder expects.
    pub fn feature(&self) -> usize {
        match self {
            Self::Lstm(c) => c.feature,
            Self::Rnn(c) => c.feature,
        }
    }

    /// V, rows of the embedding and columns of the output layer.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Lstm(c) => c.vocabulary,
            Self::Rnn(c) => c.vocabulary,
        }
    }

    /// Whether the decoder reads all regions of a picture rather than one vector.
    pub fn reads_regions(&self) -> bool {
        match self {
            Self::Lstm(_) | Self::Rnn(_) => false,
        }
    }

    /// Name and shape of every parameter, in the order in which they are stored and updated.
    pub fn parameters(&self) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Self::Lstm(c) => {
                let (d, e, h, v) = (c.feature, c.embedding, c.hidden, c.vocabulary);
                vec![
                    ("projection.weight", vec![d, e]),
                    ("projection.bias", vec![e]),
                    ("embedding.weight", vec![v, e]),
                    ("lstm.input", vec![e, 4 * h]),
                    ("lstm.hidden", vec![h, 4 * h]),
                    ("lstm.bias", vec![4 * h]),
                    ("output.weight", vec![h, v]),
                    ("output.bias", vec![v]),
                ]
            }
            Self::Rnn(c) => {
                let (d, e, h, v) = (c.feature, c.embedding, c.hidden, c.vocabulary);
                vec![
                    ("projection.weight", vec![d, h]),
                    ("projection.bias", vec![h]),
                    ("embedding.weight", vec![v, e]),
                    ("rnn.input.weight", vec![e, h]),
                    ("rnn.input.bias", vec![h]),
                    ("rnn.hidden.weight", vec![h, h]),
                    ("rnn.hidden.bias", vec![h]),
                    ("output.weight", vec![h, v]),
                    ("output.bias", vec![v]),
                ]
            }
        }
    }
}
