//! Operations on the tape, forward and backward.
//!
//! The large ones, which a captioner spends its time in: [`lstm`], [`rnn`], [`top_down`],
//! [`output_cross_entropy`], [`linear`], [`gather`], [`dropout`], and of the encoders [`conv2d`],
//! [`depthwise_conv2d`], [`batch_norm`] and both in one, [`normed_conv2d`]. The small ones exist so that
//! each large one has a plain composed version to be tested against.

mod attention;
mod batch_norm;
mod conv;
mod cross_entropy;
mod depthwise;
mod dropout;
mod elementwise;
mod linear;
mod lstm;
pub(crate) mod normed;
mod pool;
mod rnn;
mod rows;
mod softmax;
mod sums;
pub(crate) mod top_down;
pub(crate) mod unfold;
pub(crate) mod window;

pub use attention::{Regions, attend};
pub use batch_norm::{Statistics, batch_norm};
pub use conv::conv2d;
pub use cross_entropy::{Targets, WordLosses, output_cross_entropy};
pub use depthwise::depthwise_conv2d;
pub use dropout::{Mask, dropout};
pub(crate) use elementwise::add_assign;
pub use elementwise::{add, add_bias, mul, relu, relu6, reshape, scale, sigmoid, sum, tanh};
pub use linear::{linear, matmul};
pub use lstm::{LstmWeights, lstm, lstm_gates};
pub use normed::{Norm, normed_conv2d, normed_depthwise_conv2d};
pub use pool::{average_pool, global_average_pool, max_pool};
pub use rnn::{RnnInputs, rnn};
pub use rows::{concat_rows, gather, slice_cols, slice_rows};
pub use softmax::{log_probabilities, log_softmax, pick};
pub use top_down::{TopDownInputs, top_down};
pub use window::{Padding, window_outputs};

/// Start of each time step's rows in a packed, time-major matrix, and the total at the end.
///
/// `live[t]` sentences are still running at step t; sentences are sorted longest first, so
/// that they are always the first `live[t]` ones.
///
/// # Panics
/// If the counts grow with time.
pub(crate) fn offsets(live: &[usize]) -> Vec<usize> {
    assert!(
        live.is_sorted_by(|a, b| a >= b),
        "live rows must not grow: {live:?}"
    );
    let mut at = 0;
    let mut starts: Vec<usize> = live
        .iter()
        .map(|rows| {
            at += rows;
            at - rows
        })
        .collect();
    starts.push(at);
    starts
}
