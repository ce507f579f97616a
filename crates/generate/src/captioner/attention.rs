//! Where a model looked while it wrote a sentence.
//!
//! Here: the sentence is read to the decoder once more, one step a word, and its weights are kept. That costs one row a
//! word, only for captions that are returned; a search that carried the weights of all its partial sentences would cost
//! more. Not here: pictures of it (`cli`).

use models::Decode;
use tensor::Tensor;

use super::Attention;
use super::member::{Eye, Member, Seen};
use crate::END;

/// The attention for `tokens` about picture `row` of what was seen: the mean over the members that have attention and the
/// grid of the first of them; none if no member has any.
pub(super) fn attention(
    members: &[Member],
    eyes: &[Eye],
    seen: &[Seen],
    row: usize,
    tokens: &[u32],
) -> Option<Attention> {
    let grid = |m: &Member| eyes[m.encoder].widths.grid;
    let looks = |m: &&Member| m.decoder.config().reads_regions();
    let first = members.iter().find(looks).map(grid)?;
    let mut sum = vec![0.0; tokens.len() * first[0] * first[1]];
    let mut count = 0;
    for member in members.iter().filter(looks).filter(|m| grid(m) == first) {
        let all = seen[member.encoder].of(&member.decoder);
        let picture = all.len() / all.shape()[0];
        let [_, regions, width] = all.shape()[..] else {
            unreachable!("regions are (I, R, D)");
        };
        let numbers = all.data()[row * picture..(row + 1) * picture].to_vec();
        let numbers = Tensor::new(member.decoder.device(), &[1, regions, width], numbers);
        let mut state = member.decoder.start(&numbers);
        let mut unused = Vec::new();
        let read = std::iter::once(END).chain(tokens.iter().copied());
        for (word, sum) in read.zip(sum.chunks_exact_mut(regions)) {
            state = member.decoder.step(&state, &[0], &[word], &mut unused);
            let weights = member.decoder.attention(&state)?;
            sum.iter_mut().zip(weights).for_each(|(s, w)| *s += w);
        }
        count += 1;
    }
    sum.iter_mut().for_each(|s| *s /= count as f32);
    Some(Attention {
        grid: first,
        weights: sum,
    })
}
