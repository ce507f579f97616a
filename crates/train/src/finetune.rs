//! An encoder that learns: features of a batch forward, their gradient back to its weights.
//!
//! Here: the cut into a front that stays and a back that learns, the passes chunk by chunk, the update. Not here: where
//! pixels come from (`vision.rs`), the layers (`models::encoder`).
//!
//! The front, and the forward pass that the decoder waits for, run through the fast path of inference. When the decoder
//! has said how its loss depends on the features, each chunk of pictures goes through the back once more, now on a tape:
//! activations of a few chunks exist at a time, whatever the batch (gradient checkpointing; Chen et al. 2016).

use models::encoder::{Encoder, FoldedEncoder};
use nn::{Clip, Optimizer, OptimizerConfig};
use tensor::{Device, Tape, Tensor};

/// Pictures of one tape on a CPU: enough rows for a product, few enough for a core's caches. On a GPU one tape has all.
const CHUNK: usize = 4;

/// An encoder whose back learns.
#[derive(Debug)]
pub(crate) struct FineTuner {
    front: Encoder,
    front_folded: FoldedEncoder,
    back: Encoder,
    optimizer: Optimizer,
    clip: Clip,
    /// Whether the decoder reads regions, or one vector a picture.
    regions: bool,
}

impl FineTuner {
    /// The first `fixed` layers of the trunk stay as they are.
    pub(crate) fn new(
        encoder: Encoder,
        fixed: usize,
        config: OptimizerConfig,
        clip: Clip,
        regions: bool,
    ) -> Self {
        let (front, back) = encoder.split(fixed);
        Self {
            front_folded: front.fold(),
            optimizer: Optimizer::new(config, back.parameters()),
            front,
            back,
            clip,
            regions,
        }
    }

    /// The whole encoder as it is now.
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::join(&self.front, &self.back)
    }

    pub(crate) fn reads_regions(&self) -> bool {
        self.regions
    }

    /// Numbers that learn.
    pub(crate) fn parameters(&self) -> u64 {
        let all = self.back.parameters().iter();
        all.map(|p| p.value.len() as u64).sum()
    }

    pub(crate) fn optimizer_steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// The optimizer's running averages by name.
    pub(crate) fn optimizer_state(&self) -> Vec<(String, Tensor)> {
        self.optimizer.state(self.back.parameters())
    }

    /// Goes on from saved averages.
    ///
    /// # Errors
    /// The name of the first that is missing or has another shape.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        saved: impl FnMut(&str) -> Option<Tensor>,
    ) -> Result<(), String> {
        self.optimizer.restore(self.back.parameters(), steps, saved)
    }

    fn device(&self) -> &Device {
        self.back.device()
    }

    /// Pixels (I, S, S, 3) → what the front makes of them, and the features (I, R, D) or (I, P) at the present weights.
    pub(crate) fn forward(&self, pixels: &Tensor) -> (Tensor, Tensor) {
        let seen = self.front_folded.trunk(pixels);
        let found = self.back.fold().encode(&seen);
        let features = match self.regions {
            true => found.regions,
            false => found.pooled,
        };
        (seen, features)
    }

    /// Moves the back's weights along the gradient of the features that [`forward`](Self::forward) gave for `seen`, times
    /// `scale`.
    ///
    /// # Panics
    /// If the gradient has another size than the features.
    pub(crate) fn update(
        &mut self,
        seen: &Tensor,
        gradient: &Tensor,
        learning_rate: f64,
        scale: f64,
    ) {
        let gradients = self.gradients(seen, gradient);
        self.optimizer.step(
            self.back.parameters_mut(),
            &gradients,
            learning_rate,
            scale,
            0.0,
            self.clip,
        );
    }

    /// Gradients of the back's parameters; sums over chunks in their order.
    fn gradients(&self, seen: &Tensor, gradient: &Tensor) -> Vec<Tensor> {
        let images = seen.shape()[0];
        let each = match self.device().gpu() {
            Some(_) => images,
            None => CHUNK,
        };
        let part = |x: &Tensor, from: usize, to: usize| {
            if from == 0 && to == images {
                return x.clone();
            }
            let one = x.len() / images;
            let mut shape = x.shape().to_vec();
            shape[0] = to - from;
            Tensor::new(
                self.device(),
                &shape,
                x.data()[from * one..to * one].to_vec(),
            )
        };
        let chunk = |n: usize| {
            let (from, to) = (n * each, images.min((n + 1) * each));
            let mut tape = Tape::new(self.device());
            let bound = self.back.parameters().bind(&mut tape);
            let input = tape.constant(part(seen, from, to));
            let found = self.back.forward(&mut tape, &bound, input);
            let features = match self.regions {
                true => found.regions,
                false => found.pooled,
            };
            let mut all = tape.backward_from(features, part(gradient, from, to));
            bound.gradients(&mut all)
        };
        let mut sums: Vec<Tensor> = Vec::new();
        let chunks = images.div_ceil(each);
        // As many at a time whatever the number of threads: sums and memory don't depend on it.
        for first in (0..chunks).step_by(AT_ONCE) {
            let count = AT_ONCE.min(chunks - first);
            for found in self.device().map(count, |n| chunk(first + n)) {
                if sums.is_empty() {
                    sums = found;
                    continue;
                }
                for (sum, one) in sums.iter_mut().zip(&found) {
                    tensor::update::add(sum, one);
                }
            }
        }
        sums
    }
}

/// Chunks whose tapes may exist at the same time.
const AT_ONCE: usize = 4;
