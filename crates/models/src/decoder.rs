//! A sentence decoder of any kind: parameters, loss of a batch, one step of writing.
//!
//! Here: what all decoders share. Not here: their equations (`lstm.rs`, `rnn.rs`), the search
//! over sentences (`generate`), files.

use std::fmt;

use nn::{Bound, Dropout, Parameter, Parameters, initialization};
use tensor::ops::{Targets, WordLosses, output_cross_entropy};
use tensor::step::{self, Choice};
use tensor::{Device, Element, Tape, Tensor, Var};

use crate::{Decode, DecoderConfig, attention, lstm, rnn};

/// A batch of sentences, packed: sorted longest first, time-major, only the live ones at each step.
///
/// For sentences of L words, step t = 0..=L reads START, w1 .. wL and predicts w1 .. wL, END.
#[derive(Debug, Clone, Copy)]
pub struct Sentences<'a> {
    /// For every sentence the row of its picture in the features that go with it.
    pub image_of: &'a [usize],
    /// Sentences alive at each step, never growing.
    pub live: &'a [usize],
    /// Words read, packed; START = 0.
    pub inputs: &'a [u32],
    /// Words to predict, packed; END = 0.
    pub targets: &'a [u32],
}

/// What is minimised: Σ weight · loss over the packed words.
#[derive(Debug, Clone, Copy)]
pub struct Objective<'a, T: Element = f32> {
    /// One weight a packed word, as self-critical training needs them; none for 1 everywhere.
    pub weights: Option<&'a [T]>,
    /// Probability spread over all words (label smoothing); 0 for none.
    pub smoothing: f64,
}

impl<T: Element> Default for Objective<'_, T> {
    fn default() -> Self {
        Self {
            weights: None,
            smoothing: 0.0,
        }
    }
}

/// What one forward (and backward) pass found.
#[derive(Debug)]
pub struct StepLoss<T: Element = f32> {
    /// Σ over all words of -ln(1e-20 + p).
    pub total: f64,
    /// The same word by word, in packed order.
    pub words: Vec<f64>,
    /// Gradients of `total` in the order of the parameters; empty if not asked for.
    pub gradients: Vec<Tensor<T>>,
}

/// A decoder with its parameters.
#[derive(Debug, Clone)]
pub struct Decoder<T: Element = f32> {
    config: DecoderConfig,
    device: Device,
    parameters: Parameters<T>,
}

/// Parameters that don't fit a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterError {
    /// The configuration needs it.
    Missing(&'static str),
    /// Its shape is another.
    Shape {
        /// The parameter.
        name: &'static str,
        /// What the configuration needs.
        expected: Vec<usize>,
        /// What was given.
        found: Vec<usize>,
    },
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "parameter `{name}` is missing"),
            Self::Shape {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "parameter `{name}` is {found:?}, the model needs {expected:?}"
                )
            }
        }
    }
}

impl std::error::Error for ParameterError {}

/// NeuralTalk's `initw`: uniform in ±0.1.
const INIT_LIMIT: f64 = 0.1;

impl<T: Element> Decoder<T> {
    /// A fresh decoder as NeuralTalk's: weights uniform in ±0.1 (the RNN's output layer ±0.01),
    /// the LSTM's bias too (it is a row of `WLSTM`), other biases 0, the output bias as given
    /// (log frequencies of the words; (V)). The attention decoder's weights are uniform in ±1/√inputs, its words' vectors
    /// in ±0.1.
    ///
    /// # Panics
    /// If `output_bias` is not one number a word.
    pub fn new(config: DecoderConfig, output_bias: &[f64], seed: u64, device: &Device) -> Self {
        assert_eq!(output_bias.len(), config.vocabulary(), "one bias a word");
        let all = config
            .parameters()
            .into_iter()
            .enumerate()
            .map(|(i, (name, shape))| {
                let limit = match (name, &config) {
                    ("output.weight", DecoderConfig::Rnn(_)) => INIT_LIMIT * INIT_LIMIT,
                    ("embedding.weight", _) => INIT_LIMIT,
                    (_, DecoderConfig::Attention(_)) => 1.0 / (shape[0] as f64).sqrt(),
                    _ => INIT_LIMIT,
                };
                let value = if name == "output.bias" {
                    Tensor::from_values(device, &shape, output_bias)
                } else if is_bias(name) && name != "lstm.bias" {
                    Tensor::zeros(device, &shape)
                } else {
                    initialization::uniform(device, &shape, limit, seed, i as u64)
                };
                parameter(name, value)
            })
            .collect();
        Self {
            config,
            device: device.clone(),
            parameters: Parameters::new(all),
        }
    }

    /// A decoder from stored parameters; `stored` is asked for each name.
    ///
    /// # Errors
    /// The first parameter that is missing or of another shape.
    pub fn from_parameters(
        config: DecoderConfig,
        device: &Device,
        mut stored: impl FnMut(&str) -> Option<Tensor<T>>,
    ) -> Result<Self, ParameterError> {
        let mut all = Vec::new();
        for (name, expected) in config.parameters() {
            let value = stored(name).ok_or(ParameterError::Missing(name))?;
            if value.shape() != expected {
                let found = value.shape().to_vec();
                return Err(ParameterError::Shape {
                    name,
                    expected,
                    found,
                });
            }
            all.push(parameter(name, value));
        }
        Ok(Self {
            config,
            device: device.clone(),
            parameters: Parameters::new(all),
        })
    }

    /// Sizes and switches.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// All parameters, for an optimizer.
    pub fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }

    /// Divides the output layer by `temperature`: from here on the distribution of the next word is what it was at that
    /// temperature.
    pub fn divide_logits(&mut self, temperature: f64) {
        let factor = T::of(1.0 / temperature);
        for parameter in self.parameters.iter_mut() {
            if parameter.name.starts_with("output.") {
                let numbers = parameter.value.data_mut();
                numbers.iter_mut().for_each(|x| *x *= factor);
            }
        }
    }

    /// Loss of a batch about pictures with `features` ((I, D), or (I, R, D) with attention) and, with `gradients`, its
    /// gradients.
    ///
    /// # Panics
    /// If the batch doesn't fit together or has a word or picture row out of range.
    pub fn loss(
        &self,
        features: &Tensor<T>,
        batch: &Sentences<'_>,
        objective: Objective<'_, T>,
        dropout: &Dropout<T>,
        gradients: bool,
    ) -> StepLoss<T> {
        self.device.install(|| {
            let mut tape = Tape::new(&self.device);
            let bound = if gradients {
                self.parameters.bind(&mut tape)
            } else {
                self.parameters.bind_frozen(&mut tape)
            };
            let features = tape.constant(features.clone());
            let (loss, words) =
                self.loss_on(&mut tape, &bound, features, batch, objective, dropout);
            let gradients = if gradients {
                bound.gradients(&mut tape.backward(loss))
            } else {
                Vec::new()
            };
            // On a GPU the backward pass is queued by now.
            let words = words.into_vec();
            StepLoss {
                total: words.iter().sum(),
                words,
                gradients,
            }
        })
    }
}

impl<T: Element> Decoder<T> {
    /// The loss on a caller's tape, where `features` may come from an encoder and take a gradient back to it. `bound` are
    /// this decoder's parameters on that tape. Returns what is minimised and -ln(1e-20 + p) of every word.
    ///
    /// # Panics
    /// As [`Decoder::loss`].
    pub fn loss_on(
        &self,
        tape: &mut Tape<T>,
        bound: &Bound<'_, T>,
        features: Var,
        batch: &Sentences<'_>,
        objective: Objective<'_, T>,
        dropout: &Dropout<T>,
    ) -> (Var, WordLosses) {
        let hidden = match &self.config {
            DecoderConfig::Lstm(config) => {
                lstm::hidden(config, tape, bound, features, batch, dropout)
            }
            DecoderConfig::Rnn(config) => {
                rnn::hidden(config, tape, bound, features, batch, dropout)
            }
            DecoderConfig::Attention(config) => {
                attention::hidden(config, tape, bound, features, batch, dropout)
            }
        };
        let layer = (hidden, bound.var("output.weight"), bound.var("output.bias"));
        let ones;
        let weights = match objective.weights {
            Some(weights) => weights,
            None => {
                ones = vec![T::ONE; batch.targets.len()];
                &ones
            }
        };
        let targets = Targets {
            words: batch.targets,
            weights,
            smoothing: objective.smoothing,
        };
        output_cross_entropy(tape, layer, targets)
    }
}

fn parameter<T: Element>(name: &str, value: Tensor<T>) -> Parameter<T> {
    Parameter {
        name: name.to_owned(),
        value,
        // The L2 penalty counts `We`, `Ws`, `Wd` and the recurrent weights. NeuralTalk's
        // `WLSTM` holds its bias row, which is therefore counted too.
        regularized: !is_bias(name) || name == "lstm.bias",
    }
}

fn is_bias(name: &str) -> bool {
    name.ends_with("bias")
}

/// What a decoder remembers of each partial sentence (one row each).
#[derive(Debug, Clone)]
pub struct State<T: Element = f32> {
    pub(crate) kind: StateKind<T>,
}

#[derive(Debug, Clone)]
pub(crate) enum StateKind<T: Element> {
    Lstm(lstm::LstmState<T>),
    Rnn(rnn::RnnState<T>),
    /// Boxed: it is several times as large as the others.
    Attention(Box<attention::AttentionState<T>>),
}

impl<T: Element> Decoder<T> {
    /// One row for each picture's features, (I, D) or with attention (I, R, D), ready for START.
    ///
    /// # Panics
    /// If the width of the features is not the decoder's.
    pub fn start(&self, features: &Tensor<T>) -> State<T> {
        self.device.install(|| State {
            kind: match &self.config {
                DecoderConfig::Lstm(config) => {
                    StateKind::Lstm(lstm::start(config, &self.parameters, features))
                }
                DecoderConfig::Rnn(config) => {
                    StateKind::Rnn(rnn::start(config, &self.parameters, features))
                }
                DecoderConfig::Attention(config) => {
                    let state = attention::start(config, &self.parameters, features);
                    StateKind::Attention(Box::new(state))
                }
            },
        })
    }

    /// [`Decode::step`] in the decoder's own number type.
    pub fn advance(
        &self,
        state: &State<T>,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<T>,
    ) -> State<T> {
        self.device.install(|| {
            let (state, hidden) = self.next(state, parents, words);
            let [weight, bias] = self.output();
            log_probs.resize(parents.len() * self.config.vocabulary(), T::ZERO);
            tensor::ops::log_probabilities(&hidden, weight, bias, log_probs);
            state
        })
    }

    /// The next state and its hidden rows, which the output layer turns into words.
    fn next(&self, state: &State<T>, parents: &[usize], words: &[u32]) -> (State<T>, Tensor<T>) {
        assert_eq!(parents.len(), words.len(), "one word a row");
        let (kind, hidden) = match (&self.config, &state.kind) {
            (DecoderConfig::Lstm(config), StateKind::Lstm(state)) => {
                let next = lstm::step(config, &self.parameters, state, parents, words);
                let hidden = next.hidden.clone();
                (StateKind::Lstm(next), hidden)
            }
            (DecoderConfig::Rnn(config), StateKind::Rnn(state)) => {
                let next = rnn::step(config, &self.parameters, state, parents, words);
                let hidden = next.hidden.clone();
                (StateKind::Rnn(next), hidden)
            }
            (DecoderConfig::Attention(_), StateKind::Attention(state)) => {
                let next = attention::step(&self.parameters, state, parents, words);
                let hidden = next.hidden.clone();
                (StateKind::Attention(Box::new(next)), hidden)
            }
            _ => panic!("a state of another decoder"),
        };
        (State { kind }, hidden)
    }

    /// Weight (H, V) and bias (V) of the output layer.
    fn output(&self) -> [&Tensor<T>; 2] {
        ["output.weight", "output.bias"].map(|name| self.parameters.value(name))
    }
}

impl Decode for Decoder<f32> {
    type State = State<f32>;

    fn vocabulary(&self) -> usize {
        self.config.vocabulary()
    }

    fn step(
        &self,
        state: &State<f32>,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> State<f32> {
        self.advance(state, parents, words, log_probs)
    }

    fn step_and_choose(
        &self,
        state: &State<f32>,
        parents: &[usize],
        words: &[u32],
        choice: Choice<'_>,
        chosen: &mut Vec<(u32, f32)>,
    ) -> Option<State<f32>> {
        if !step::chooses(&self.device, choice) {
            return None;
        }
        self.device.install(|| {
            let (state, hidden) = self.next(state, parents, words);
            let [weight, bias] = self.output();
            *chosen = step::choose(&hidden, weight, bias, choice);
            Some(state)
        })
    }

    fn attention<'s>(&self, state: &'s State<f32>) -> Option<&'s [f32]> {
        match &state.kind {
            StateKind::Attention(state) => state.weights.as_ref().map(Tensor::data),
            _ => None,
        }
    }
}

/// Row `words[r]` of the embedding (V, E) for every r → (N, E).
///
/// # Panics
/// If a word is outside the vocabulary.
pub(crate) fn embed<T: Element>(embedding: &Tensor<T>, words: &[u32]) -> Tensor<T> {
    let picked: Vec<usize> = words.iter().map(|&word| word as usize).collect();
    step::rows(embedding, &picked)
}
