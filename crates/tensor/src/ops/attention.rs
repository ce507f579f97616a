//! Additive attention: which regions of a picture a hidden row looks at.
//!
//! s_i = w · tanh(key_i + query)    α = softmax(s)    context = Σ α_i value_i
//!
//! Bahdanau et al. 2015. Here: one pass for many rows, each looking at its own picture, forward ([`attend`]) and
//! backward. Not here: the recurrence around it (`top_down.rs`), where keys and values come from (`models`).
//! The hyperbolic tangents, (rows, R, A), are computed again in the backward pass: they would be the largest array of a
//! training step, and computing them costs less than storing them.

use rayon::prelude::*;

use super::softmax::exponentials;
use crate::simd::vectorized;
use crate::{Element, Tensor};

/// What rows attend to.
#[derive(Debug, Clone)]
pub struct Regions<T: Element = f32> {
    /// (I, R, A): what regions are found by.
    pub keys: Tensor<T>,
    /// (I, R, P): what they say.
    pub values: Tensor<T>,
}

impl<T: Element> Regions<T> {
    /// I, R, A, P.
    ///
    /// # Panics
    /// If keys and values are not of the same pictures and regions.
    pub fn sizes(&self) -> [usize; 4] {
        let (&[i, r, a], &[images, regions, p]) = (self.keys.shape(), self.values.shape()) else {
            panic!("keys and values are (I, R, width)");
        };
        assert_eq!((i, r), (images, regions), "pictures and regions");
        [i, r, a, p]
    }

    fn of(&self, image: usize) -> (&[T], &[T]) {
        let [_, r, a, p] = self.sizes();
        (
            &self.keys.data()[image * r * a..(image + 1) * r * a],
            &self.values.data()[image * r * p..(image + 1) * r * p],
        )
    }
}

/// Queries (n, A), row r looking at picture `image_of[r]`, with `score` (A): writes weights α (n, R) and contexts
/// Σ α value (n, P).
///
/// # Panics
/// If the shapes don't fit.
pub fn attend<T: Element>(
    regions: &Regions<T>,
    score: &[T],
    queries: &[T],
    image_of: &[usize],
    weights: &mut [T],
    contexts: &mut [T],
) {
    let [_, r, a, p] = regions.sizes();
    assert_eq!(score.len(), a, "score weights");
    let n = image_of.len();
    assert!(queries.len() == n * a && weights.len() == n * r && contexts.len() == n * p);
    queries
        .par_chunks_exact(a)
        .zip(weights.par_chunks_exact_mut(r))
        .zip(contexts.par_chunks_exact_mut(p))
        .zip(image_of)
        .for_each(|(((query, weights), context), &image)| {
            let (keys, values) = regions.of(image);
            scores(keys, query, score, weights);
            let (_, total) = exponentials(weights);
            let share = T::ONE / total;
            vectorized(
                #[inline(always)]
                || {
                    context.fill(T::ZERO);
                    for (w, value) in weights.iter_mut().zip(values.chunks_exact(p)) {
                        let weight = *w * share;
                        *w = weight;
                        context
                            .iter_mut()
                            .zip(value)
                            .for_each(|(c, &v)| *c += weight * v);
                    }
                },
            );
        });
}

/// Numbers summed side by side: independent of the processor's vector width.
const LANES: usize = 32;

fn scores<T: Element>(keys: &[T], query: &[T], score: &[T], out: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            for (out, key) in out.iter_mut().zip(keys.chunks_exact(query.len())) {
                let mut lanes = [T::ZERO; LANES];
                let chunks = key
                    .chunks(LANES)
                    .zip(query.chunks(LANES))
                    .zip(score.chunks(LANES));
                for ((key, query), score) in chunks {
                    for (((lane, &k), &q), &w) in lanes.iter_mut().zip(key).zip(query).zip(score) {
                        *lane += w * (k + q).hyperbolic_tangent();
                    }
                }
                *out = lanes.into_iter().sum();
            }
        },
    );
}

fn dot<T: Element>(x: &[T], y: &[T]) -> T {
    vectorized(
        #[inline(always)]
        || {
            let mut lanes = [T::ZERO; LANES];
            for (x, y) in x.chunks(LANES).zip(y.chunks(LANES)) {
                for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
                    *lane += x * y;
                }
            }
            lanes.into_iter().sum()
        },
    )
}

/// Sums of gradients that grow from step to step.
pub(super) struct RegionGradients<T> {
    /// (I, R, A).
    pub(super) keys: Vec<T>,
    /// (I, R, P).
    pub(super) values: Vec<T>,
    /// (I, A): of the score weights, each picture's share.
    pub(super) score: Vec<T>,
}

/// The backward pass of [`attend`] for one step: from the gradient of the contexts (n, P) to that of the queries
/// (n, A, written) and of keys, values and score (added to `sums`).
///
/// `rows_of[i]` are the rows that look at picture i, ascending; those from `n` on are not there at this step. Pictures go in
/// parallel: no two threads add to the same sum.
pub(super) fn attend_backward<T: Element>(
    regions: &Regions<T>,
    score: &[T],
    rows_of: &[Vec<usize>],
    (queries, weights, d_contexts): (&[T], &[T], &[T]),
    sums: &mut RegionGradients<T>,
    d_queries: &mut [T],
) {
    let [_, r, a, p] = regions.sizes();
    let n = d_queries.len() / a;
    let of_pictures: Vec<Vec<T>> = sums
        .keys
        .par_chunks_exact_mut(r * a)
        .zip(sums.values.par_chunks_exact_mut(r * p))
        .zip(sums.score.par_chunks_exact_mut(a))
        .zip(rows_of)
        .enumerate()
        .map(|(image, (((d_keys, d_values), d_score), rows))| {
            let (keys, values) = regions.of(image);
            let live = rows.partition_point(|&row| row < n);
            let mut all = vec![T::ZERO; live * a];
            for (&row, d_query) in rows[..live].iter().zip(all.chunks_exact_mut(a)) {
                let picked = Row {
                    query: &queries[row * a..(row + 1) * a],
                    weights: &weights[row * r..(row + 1) * r],
                    d_context: &d_contexts[row * p..(row + 1) * p],
                };
                picked.backward((keys, values, score), (d_keys, d_values, d_score), d_query);
            }
            all
        })
        .collect();
    for (rows, of_picture) in rows_of.iter().zip(of_pictures) {
        for (&row, d_query) in rows.iter().zip(of_picture.chunks_exact(a)) {
            d_queries[row * a..(row + 1) * a].copy_from_slice(d_query);
        }
    }
}

struct Row<'a, T> {
    query: &'a [T],
    weights: &'a [T],
    d_context: &'a [T],
}

impl<T: Element> Row<'_, T> {
    fn backward(
        &self,
        (keys, values, score): (&[T], &[T], &[T]),
        (d_keys, d_values, d_score): (&mut [T], &mut [T], &mut [T]),
        d_query: &mut [T],
    ) {
        let (a, p) = (self.query.len(), self.d_context.len());
        // Through the softmax: ds_i = α_i (dα_i - Σ α dα).
        let d_weights: Vec<T> = values
            .chunks_exact(p)
            .map(|v| dot(self.d_context, v))
            .collect();
        let mean = dot(self.weights, &d_weights);
        let regions = keys.chunks_exact(a).zip(d_keys.chunks_exact_mut(a));
        let regions = regions.zip(d_values.chunks_exact_mut(p));
        let numbers = self.weights.iter().zip(&d_weights);
        for (((key, d_key), d_value), (&weight, &d_weight)) in regions.zip(numbers) {
            let ds = weight * (d_weight - mean);
            vectorized(
                #[inline(always)]
                || {
                    for (d, &g) in d_value.iter_mut().zip(self.d_context) {
                        *d += weight * g;
                    }
                    let inputs = key.iter().zip(self.query).zip(score);
                    let outputs = d_key.iter_mut().zip(&mut *d_query).zip(&mut *d_score);
                    for (((&k, &q), &w), ((dk, dq), dw)) in inputs.zip(outputs) {
                        let y = (k + q).hyperbolic_tangent();
                        let slope = ds * w * (T::ONE - y * y);
                        *dk += slope;
                        *dq += slope;
                        *dw += ds * y;
                    }
                },
            );
        }
    }
}
