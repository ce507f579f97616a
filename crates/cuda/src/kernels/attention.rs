//! Additive attention over regions.

use std::sync::Arc;

use super::{block_end, one_each, size};
use crate::{Gpu, In, Out};

/// Pictures I, regions R, width of keys A, width of values P.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct AttendSizes {
    pub images: usize,
    pub r: usize,
    pub a: usize,
    pub p: usize,
}

impl AttendSizes {
    fn check(&self, keys: In<'_, f32>, values: Option<In<'_, f32>>, score: In<'_, f32>) {
        let Self { images, r, a, p } = *self;
        assert_eq!(keys.len(), images * r * a, "keys");
        assert!(values.is_none_or(|v| v.len() == images * r * p), "values");
        assert_eq!(score.len(), a, "score weights");
    }

    fn check_contexts(&self, n: usize, len: usize, stride: usize) {
        let end = block_end(n, self.p, stride);
        assert!(self.p <= stride && end <= len, "contexts");
    }
}

/// Queries (n, A) with `score` (A), row r looking at picture `image_of[r]`: writes `weights` (n, R) and contexts, whose rows of
/// P lie `stride` apart.
///
/// # Panics
/// If the lengths don't fit.
#[allow(clippy::too_many_arguments)]
pub fn attend(
    gpu: &Arc<Gpu>,
    s: AttendSizes,
    (keys, values): (In<'_, f32>, In<'_, f32>),
    score: In<'_, f32>,
    queries: In<'_, f32>,
    image_of: In<'_, u32>,
    weights: &mut Out<'_, f32>,
    (contexts, stride): (&mut Out<'_, f32>, usize),
) {
    let n = image_of.len();
    s.check(keys, Some(values), score);
    assert!(queries.len() == n * s.a && weights.len() == n * s.r);
    s.check_contexts(n, contexts.len(), stride);
    let arguments = [
        keys.into(),
        values.into(),
        score.into(),
        queries.into(),
        image_of.into(),
        weights.into(),
        contexts.into(),
        size(stride).into(),
        size(n).into(),
        size(s.r).into(),
        size(s.a).into(),
        size(s.p).into(),
    ];
    gpu.launch("attend", one_each(n), &arguments);
}

/// What [`attend_backward_rows`] reads: of [`attend`], and the gradient of the contexts, whose rows lie `stride` apart.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct AttendBackwardRows<'a> {
    pub keys: In<'a, f32>,
    pub values: In<'a, f32>,
    pub score: In<'a, f32>,
    pub queries: In<'a, f32>,
    pub image_of: In<'a, u32>,
    pub weights: In<'a, f32>,
    pub d_contexts: In<'a, f32>,
    pub stride: usize,
}

/// Writes the gradients of the scores (n, R), of the queries (n, A), and each row's share of that of `score` (n, A).
///
/// # Panics
/// If the lengths don't fit.
pub fn attend_backward_rows(
    gpu: &Arc<Gpu>,
    s: AttendSizes,
    x: AttendBackwardRows<'_>,
    d_scores: &mut Out<'_, f32>,
    d_queries: &mut Out<'_, f32>,
    d_score_rows: &mut Out<'_, f32>,
) {
    let n = x.image_of.len();
    s.check(x.keys, Some(x.values), x.score);
    s.check_contexts(n, x.d_contexts.len(), x.stride);
    assert!(x.weights.len() == n * s.r && d_scores.len() == n * s.r);
    for len in [x.queries.len(), d_queries.len(), d_score_rows.len()] {
        assert_eq!(len, n * s.a, "queries");
    }
    let arguments = [
        x.keys.into(),
        x.values.into(),
        x.score.into(),
        x.queries.into(),
        x.image_of.into(),
        x.weights.into(),
        x.d_contexts.into(),
        size(x.stride).into(),
        d_scores.into(),
        d_queries.into(),
        d_score_rows.into(),
        size(n).into(),
        size(s.r).into(),
        size(s.a).into(),
        size(s.p).into(),
    ];
    gpu.launch("attend_backward_rows", one_each(n), &arguments);
}

/// What [`attend_backward_regions`] reads; `rows` and `starts` say which rows look at which picture.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct AttendBackwardRegions<'a> {
    pub keys: In<'a, f32>,
    pub score: In<'a, f32>,
    pub queries: In<'a, f32>,
    pub rows: In<'a, u32>,
    pub starts: In<'a, u32>,
    pub weights: In<'a, f32>,
    pub d_contexts: In<'a, f32>,
    pub stride: usize,
    pub d_scores: In<'a, f32>,
}

/// Adds the gradients of this step's `n` rows to those of keys (I, R, A) and values (I, R, P).
///
/// # Panics
/// If the lengths don't fit.
pub fn attend_backward_regions(
    gpu: &Arc<Gpu>,
    s: AttendSizes,
    x: AttendBackwardRegions<'_>,
    d_keys: &mut Out<'_, f32>,
    d_values: &mut Out<'_, f32>,
    n: usize,
) {
    s.check(x.keys, None, x.score);
    s.check(d_keys.read(), Some(d_values.read()), x.score);
    s.check_contexts(n, x.d_contexts.len(), x.stride);
    assert_eq!(x.queries.len(), n * s.a, "queries");
    assert!(x.weights.len() == n * s.r && x.d_scores.len() == n * s.r);
    assert!(x.starts.len() == s.images + 1 && n <= x.rows.len());
    let arguments = [
        x.keys.into(),
        x.score.into(),
        x.queries.into(),
        x.rows.into(),
        x.starts.into(),
        x.weights.into(),
        x.d_contexts.into(),
        size(x.stride).into(),
        x.d_scores.into(),
        d_keys.into(),
        d_values.into(),
        size(n).into(),
        size(s.images).into(),
        size(s.r).into(),
        size(s.a).into(),
        size(s.p).into(),
    ];
    gpu.launch(
        "attend_backward_regions",
        one_each(s.images * s.r),
        &arguments,
    );
}
