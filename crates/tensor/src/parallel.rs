//! How loops over rows and columns are cut into pieces: by shape alone, never by the number of
//! threads, so that every result is the same on any machine with the same processor.

use rayon::prelude::*;

/// Numbers in one piece of an elementwise loop: a few times a core's first-level cache.
pub(crate) const PIECE: usize = 1 << 14;

/// Rows in one piece of a loop over rows of `width` numbers each.
pub(crate) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Calls `work(first index, piece)` for pieces of `data`, in parallel.
pub(crate) fn for_pieces<T: Send>(
    data: &mut [T],
    piece: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if data.len() <= piece {
        work(0, data);
    } else {
        data.par_chunks_mut(piece)
            .enumerate()
            .for_each(|(i, chunk)| work(i * piece, chunk));
    }
}
