//! Sliding windows: which inputs an output of a convolution or pooling sees.
//!
//! Here: the geometry of one axis under the three paddings that published networks use. Not here: what is done with the
//! numbers (`conv.rs`, `depthwise.rs`, `pool.rs`).

use std::ops::Range;

/// What lies beyond the border, and how many outputs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// TensorFlow's `SAME`: ⌈n / stride⌉ outputs; an odd margin has its extra element at the end.
    Same,
    /// So many zeros on each side, as PyTorch counts: ⌊(n + 2p - k) / stride⌋ + 1 outputs.
    Each(usize),
    /// As Caffe counts when pooling: rounded up, but no window begins beyond the input and the margin before it.
    Ceil(usize),
}

/// One axis of a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Padding in front of the first input.
    pub(crate) before: usize,
}

impl Axis {
    /// None if there is no output.
    pub(crate) fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        padding: Padding,
    ) -> Option<Self> {
        if input == 0 || kernel == 0 || stride == 0 {
            return None;
        }
        let (output, before) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let margin = ((output - 1) * stride + kernel).saturating_sub(input);
                (output, margin / 2)
            }
            Padding::Each(p) => ((input + 2 * p).checked_sub(kernel)? / stride + 1, p),
            Padding::Ceil(p) => {
                let output = (input + 2 * p).checked_sub(kernel)?.div_ceil(stride) + 1;
                let begins_outside = p > 0 && (output - 1) * stride >= input + p;
                (output - usize::from(begins_outside), p)
            }
        };
        // A window that sees padding alone has nothing to say.
        (before < kernel).then_some(Self {
            input,
            output,
            kernel,
            stride,
            before,
        })
    }

    /// Which of the kernel's positions meet an input at output `o`, and the input that the first of them meets.
    #[inline(always)]
    pub(crate) fn taps(&self, o: usize) -> (Range<usize>, usize) {
        let start = o * self.stride;
        let first = self.before.saturating_sub(start);
        let last = (self.input + self.before)
            .saturating_sub(start)
            .min(self.kernel);
        (first..last.max(first), start + first - self.before)
    }

    /// The output whose position `k` meets input `i`, if there is one.
    #[inline(always)]
    pub(crate) fn output_of(&self, i: usize, k: usize) -> Option<usize> {
        let start = (i + self.before).checked_sub(k)?;
        (start % self.stride == 0 && start / self.stride < self.output)
            .then_some(start / self.stride)
    }
}

/// The outputs of a window over an axis of `input` numbers; none if there is no output.
pub fn window_outputs(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
) -> Option<usize> {
    Axis::new(input, kernel, stride, padding).map(|axis| axis.output)
}

/// A window over the rows and columns of pictures (B, H, W, C).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) y: Axis,
    pub(crate) x: Axis,
}

impl Window {
    /// # Panics
    /// If the shape isn't four sizes, or there is no output.
    pub(crate) fn new(
        shape: &[usize],
        kernel: [usize; 2],
        stride: usize,
        padding: Padding,
    ) -> Self {
        let &[batch, height, width, channels] = shape else {
            panic!("(B, H, W, C) was expected, the shape is {shape:?}");
        };
        let axis = |n, k| {
            Axis::new(n, k, stride, padding)
                .unwrap_or_else(|| panic!("no window of {kernel:?} in {shape:?} with {padding:?}"))
        };
        Self {
            batch,
            channels,
            y: axis(height, kernel[0]),
            x: axis(width, kernel[1]),
        }
    }

    /// (B, H', W').
    pub(crate) fn outputs(&self) -> [usize; 3] {
        [self.batch, self.y.output, self.x.output]
    }

    /// B·H'·W'.
    pub(crate) fn pixels(&self) -> usize {
        self.outputs().iter().product()
    }

    /// KH·KW·C, the numbers that one output sees.
    pub(crate) fn patch(&self) -> usize {
        self.y.kernel * self.x.kernel * self.channels
    }

    /// True if every output sees exactly its own input: a convolution is then one product.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.y.kernel == 1
            && self.x.kernel == 1
            && self.y.stride == 1
            && self.y.before == 0
            && self.y.output == self.y.input
            && self.x.output == self.x.input
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_three_frameworks() {
        use Padding::{Ceil, Each, Same};
        for (input, kernel, stride, padding, output, before) in [
            (224, 3, 2, Same, 112, 0),
            (112, 5, 2, Same, 56, 1),
            (7, 5, 1, Same, 7, 2),
            (15, 3, 2, Same, 8, 1),
            (5, 1, 2, Same, 3, 0),
            (224, 7, 2, Each(3), 112, 3),
            (112, 3, 2, Each(1), 56, 1),
            (67, 5, 2, Each(2), 34, 2),
            (34, 3, 2, Ceil(0), 17, 0),
            (17, 3, 2, Ceil(1), 9, 1),
            (4, 2, 2, Ceil(1), 3, 1),
            (3, 2, 2, Ceil(1), 2, 1),
        ] {
            let axis = Axis::new(input, kernel, stride, padding).expect("outputs");
            assert_eq!(
                (axis.output, axis.before),
                (output, before),
                "{input} {kernel} {stride} {padding:?}"
            );
        }
        assert_eq!(window_outputs(2, 5, 1, Each(1)), None);
        assert_eq!(window_outputs(0, 1, 1, Same), None);
    }

    #[test]
    fn taps_and_their_inverse_agree() {
        for input in 1..12 {
            for kernel in 1..6 {
                for stride in 1..4 {
                    for padding in [Padding::Same, Padding::Each(1), Padding::Ceil(1)] {
                        let Some(axis) = Axis::new(input, kernel, stride, padding) else {
                            continue;
                        };
                        for o in 0..axis.output {
                            let (taps, first) = axis.taps(o);
                            for k in 0..kernel {
                                let at = (o * stride + k).checked_sub(axis.before);
                                let at = at.filter(|&i| i < input);
                                assert_eq!(at.is_some(), taps.contains(&k));
                                if let Some(i) = at {
                                    assert_eq!(i, first + k - taps.start);
                                    assert_eq!(axis.output_of(i, k), Some(o));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
