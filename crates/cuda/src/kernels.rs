//! Every kernel as one function: lengths are checked, then it is queued.
//!
//! Here: sizes, grids, and the text of all kernels for the compiler. Not here: what they compute (`kernels/*.cu`), in which
//! order an operation calls them (`tensor`). A function and its kernel have the same name and the same order of arguments.

mod attention;
mod choose;
mod convolution;
mod elementwise;
mod lstm;
mod norm;
mod pictures;
mod rnn;
mod rows;
mod softmax;
mod update;

use std::sync::Arc;

use crate::{Array, Gpu, In, Out};

pub use attention::{
    AttendBackwardRegions, AttendBackwardRows, AttendSizes, attend, attend_backward_regions,
    attend_backward_rows,
};
pub use choose::{draw, likeliest};
pub use convolution::{
    Axis, Window, average_pool, average_pool_backward, depthwise, depthwise_to_filters,
    depthwise_to_input, fold, max_pool, max_pool_backward, unfold,
};
pub use elementwise::{
    Unary, add_assign, add_bias, copy_block, multiply, region_means, region_means_backward,
    scale_assign, sum_rows, unary, unary_backward,
};
pub use lstm::{GatesBackward, lstm_gates, lstm_gates_backward};
pub use norm::{NormFactors, norm_factors, norm_gradient, scale_columns, shift_and_limit, stop};
pub use pictures::{Pictures, Values, pictures};
pub use rnn::{rnn_step, rnn_step_backward};
pub use rows::{dropout_mask, gather, grouped, scatter_add};
pub use softmax::{cross_entropy, log_probabilities, total_loss};
pub use update::{Rule, norm_parts, squared_norm, update};

/// Threads of every block.
pub const BLOCK: usize = 256;
/// Blocks beyond this don't make a grid-stride loop faster on any GPU of today.
const MOST_BLOCKS: usize = 8192;

/// Every kernel's name.
pub const NAMES: &[&str] = &[
    "add_assign",
    "add_bias",
    "attend",
    "attend_backward_regions",
    "attend_backward_rows",
    "average_pool",
    "average_pool_backward",
    "copy_block",
    "cross_entropy",
    "depthwise",
    "depthwise_to_filters",
    "depthwise_to_input",
    "draw",
    "dropout_mask",
    "fold",
    "gather",
    "likeliest",
    "log_probabilities",
    "lstm_gates",
    "lstm_gates_backward",
    "max_pool",
    "max_pool_backward",
    "multiply",
    "norm_factors",
    "norm_gradient",
    "picture_colours",
    "picture_columns",
    "picture_lines",
    "region_means",
    "region_means_backward",
    "rnn_step",
    "rnn_step_backward",
    "scale_assign",
    "scale_columns",
    "scatter_add",
    "shift_and_limit",
    "squared_norm",
    "stop",
    "sum_rows",
    "to_half",
    "total_loss",
    "unary",
    "unary_backward",
    "unfold",
    "update",
];

/// The text of all kernels, one unit for the compiler.
pub fn source() -> String {
    [
        include_str!("kernels/00_numbers.cu"),
        include_str!("kernels/attention.cu"),
        include_str!("kernels/choose.cu"),
        include_str!("kernels/convolution.cu"),
        include_str!("kernels/elementwise.cu"),
        include_str!("kernels/lstm.cu"),
        include_str!("kernels/norm.cu"),
        include_str!("kernels/pictures.cu"),
        include_str!("kernels/rnn.cu"),
        include_str!("kernels/rows.cu"),
        include_str!("kernels/softmax.cu"),
        include_str!("kernels/update.cu"),
    ]
    .join("\n")
}

/// Blocks for `n` independent numbers.
fn blocks(n: usize) -> u32 {
    n.div_ceil(BLOCK).min(MOST_BLOCKS) as u32
}

/// Blocks where each takes one of `n` things at a time.
fn one_each(n: usize) -> u32 {
    n.min(1 << 30) as u32
}

/// A size as kernels take it.
///
/// # Panics
/// If it is too large: no array of today's models comes near.
fn size(n: usize) -> u32 {
    u32::try_from(n).expect("a size below 2^32")
}

/// Numbers up to the end of a block of (rows, cols) whose rows lie `stride` apart.
fn block_end(rows: usize, cols: usize, stride: usize) -> usize {
    match rows * cols {
        0 => 0,
        _ => (rows - 1) * stride + cols,
    }
}

/// x (rows, cols; rows `from_stride` apart) to bf16 in y (rows `to_stride` apart).
pub(crate) fn to_half(
    gpu: &Arc<Gpu>,
    x: In<'_, f32>,
    from_stride: usize,
    y: &mut Out<'_, u16>,
    to_stride: usize,
    (rows, cols): (usize, usize),
) {
    assert!(
        rows == 0 || (rows - 1) * from_stride + cols <= x.len(),
        "f32 numbers"
    );
    assert!(
        cols <= to_stride && rows * to_stride <= y.len(),
        "bf16 numbers"
    );
    let sizes = [from_stride, to_stride, rows, cols].map(size);
    let [from_stride, to_stride, r, c] = sizes;
    gpu.launch(
        "to_half",
        blocks(rows * cols),
        &[
            x.into(),
            from_stride.into(),
            y.into(),
            to_stride.into(),
            r.into(),
            c.into(),
        ],
    );
}

/// An array that a kernel fills.
fn filled(gpu: &Arc<Gpu>, len: usize, fill: impl FnOnce(&mut Out<'_, f32>)) -> Array<f32> {
    let mut array = gpu.array(len);
    fill(&mut array.all_mut());
    array
}
