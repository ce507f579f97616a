//! Where lines end in a piece of text: 64 bytes at a time.
//!
//! Here: the search. Not here: what lines mean (`paraphrase_table.rs`).
//!
//! The paraphrase table's lines have 17 bytes on average: a search that starts anew at each (memchr's) costs more than
//! the search itself. As in Langdale & Lemire 2019 (simdjson), section 3.1: a block's mask of line ends first, then
//! its bits, four at a time without asking whether there are as many.

/// Bytes of a block: the bits of its mask.
const BLOCK: usize = 64;
/// Positions that are written at once.
const STEP: usize = 4;

/// Positions of all line ends of `text`, ascending, in place of what `ends` held.
///
/// # Panics
/// If the text has 2^32 bytes or more.
pub(super) fn find(text: &[u8], ends: &mut Vec<u32>) {
    assert!(u32::try_from(text.len()).is_ok(), "a piece of text");
    ends.clear();
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || find_with(text, ends, |block| wide_mask(simd, block)),
        );
    }
    find_with(text, ends, mask);
}

#[inline(always)]
fn find_with(text: &[u8], ends: &mut Vec<u32>, mask: impl Fn(&[u8; BLOCK]) -> u64) {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut start = 0;
    for block in blocks {
        positions(mask(block), start, ends);
        start += BLOCK as u32;
    }
    let newlines = (start..).zip(rest).filter(|&(_, &byte)| byte == b'\n');
    ends.extend(newlines.map(|(at, _)| at));
}

/// Adds the positions of a mask's bits; bit 0 is at `start`.
#[inline(always)]
fn positions(mut mask: u64, start: u32, ends: &mut Vec<u32>) {
    let length = ends.len() + mask.count_ones() as usize;
    while mask != 0 {
        // Without bits left the position is none; it is cut off below.
        ends.extend_from_slice(&std::array::from_fn::<u32, STEP, _>(|_| {
            let at = start + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
            at
        }));
    }
    ends.truncate(length);
}

/// A bit for each line end of a block.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn wide_mask(simd: pulp::x86::V3, block: &[u8; BLOCK]) -> u64 {
    let line_ends = simd.avx._mm256_set1_epi8(b'\n' as i8);
    let half = |bytes: [u8; BLOCK / 2]| {
        let equal = simd.avx2._mm256_cmpeq_epi8(pulp::cast(bytes), line_ends);
        u64::from(simd.avx2._mm256_movemask_epi8(equal) as u32)
    };
    let (halves, _) = block.as_chunks();
    half(halves[0]) | half(halves[1]) << (BLOCK / 2)
}

/// The same on any processor.
fn mask(block: &[u8; BLOCK]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    const LINE_ENDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    // Takes bit 8i to bit 56 + i.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut mask = 0;
    for (i, word) in block.as_chunks().0.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ LINE_ENDS;
        // The high bit of each byte that is 0; no carry leaves a byte.
        let equal = !(((other & LOW) + LOW) | other | LOW);
        mask |= ((equal >> 7).wrapping_mul(GATHER) >> 56) << (8 * i);
    }
    mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn line_ends_are_those_of_a_plain_search(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\n' | 0x80), any::<u8>()], 0..400),
        ) {
            let mut ends = vec![7; 3];
            find(&text, &mut ends);
            let mut others = Vec::new();
            find_with(&text, &mut others, mask);
            prop_assert_eq!(&ends, &others);
            let newlines = (0..).zip(&text).filter(|&(_, &byte)| byte == b'\n');
            prop_assert_eq!(ends, newlines.map(|(at, _)| at).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn a_block_may_be_full_of_line_ends_or_have_none() {
        let mut ends = Vec::new();
        find(&[b'\n'; 2 * BLOCK], &mut ends);
        assert_eq!(ends, (0..2 * BLOCK as u32).collect::<Vec<_>>());
        find(&[b'x'; 2 * BLOCK], &mut ends);
        assert_eq!(ends, [0_u32; 0]);
    }
}
