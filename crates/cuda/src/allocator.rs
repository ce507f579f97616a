//! Which freed block of device memory is handed out again.
//!
//! Here: bookkeeping alone, in addresses and bytes; the calls that get and give back memory are the caller's, so that the
//! tests need no GPU. Asking the driver for memory waits for the GPU to finish; a training step asks for the same few dozen
//! sizes again and again, so after the first steps nothing is asked for any more. All work is on one stream: a block may be
//! handed out while the work that used it is still queued, because what comes next is queued behind it. Of several free
//! blocks that with the least address is taken: then a step that asks for what the step before asked for gets the same blocks,
//! in whatever order they were given back, and can be replayed as it was recorded (`raw/queue.rs`).

use std::collections::{BTreeMap, BTreeSet};

/// Blocks by size class.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    free: BTreeMap<usize, BTreeSet<u64>>,
    /// Bytes in use and free, as the driver sees them.
    held: usize,
    used: usize,
}

/// Every block is a multiple of this, so that blocks are aligned for any load.
const SMALLEST: usize = 512;

impl Allocator {
    /// The bytes of the block in which `bytes` are put: one of eight sizes an octave, so that at most an eighth is wasted and
    /// batches of slightly different length share blocks.
    pub(crate) fn class(bytes: usize) -> usize {
        let bytes = bytes.max(1).next_multiple_of(SMALLEST);
        let step = (1 << bytes.ilog2() >> 3).max(SMALLEST);
        bytes.next_multiple_of(step)
    }

    /// A free block of the class, or what `fresh` brings. If that fails, everything free is given back and it is asked again.
    pub(crate) fn take<E>(
        &mut self,
        bytes: usize,
        mut fresh: impl FnMut(usize) -> Result<u64, E>,
        mut give_back: impl FnMut(u64),
    ) -> Result<u64, E> {
        let class = Self::class(bytes);
        if let Some(address) = self.free.get_mut(&class).and_then(BTreeSet::pop_first) {
            self.used += class;
            return Ok(address);
        }
        let address = match fresh(class) {
            Ok(address) => address,
            Err(_) => {
                self.clear(&mut give_back);
                fresh(class)?
            }
        };
        self.held += class;
        self.used += class;
        Ok(address)
    }

    /// Takes a block back.
    pub(crate) fn put(&mut self, address: u64, bytes: usize) {
        let class = Self::class(bytes);
        self.used -= class;
        self.free.entry(class).or_default().insert(address);
    }

    /// Gives every free block back.
    pub(crate) fn clear(&mut self, mut give_back: impl FnMut(u64)) {
        for (class, blocks) in std::mem::take(&mut self.free) {
            self.held -= class * blocks.len();
            blocks.into_iter().for_each(&mut give_back);
        }
    }

    /// Bytes that the driver has lent.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes of them in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A device with so many bytes, which hands out ascending addresses and knows what is out.
    struct Fake {
        total: usize,
        out: RefCell<BTreeMap<u64, usize>>,
        next: RefCell<u64>,
        asked: RefCell<usize>,
    }

    impl Fake {
        fn new(total: usize) -> Self {
            Self {
                total,
                out: RefCell::default(),
                next: RefCell::new(1 << 20),
                asked: RefCell::default(),
            }
        }

        fn fresh(&self, bytes: usize) -> Result<u64, &'static str> {
            *self.asked.borrow_mut() += 1;
            let used: usize = self.out.borrow().values().sum();
            if used + bytes > self.total {
                return Err("full");
            }
            let mut next = self.next.borrow_mut();
            let address = *next;
            *next += bytes as u64;
            self.out.borrow_mut().insert(address, bytes);
            Ok(address)
        }

        fn give_back(&self, address: u64) {
            let block = self.out.borrow_mut().remove(&address);
            assert!(block.is_some(), "{address} was given back twice");
        }
    }

    fn take(cache: &mut Allocator, fake: &Fake, bytes: usize) -> Result<u64, &'static str> {
        cache.take(bytes, |n| fake.fresh(n), |a| fake.give_back(a))
    }

    #[test]
    fn classes_cover_waste_little_and_are_their_own_class() {
        for bytes in (0..20_000).chain([1 << 30, (1 << 30) + 1, 3 << 29]) {
            let class = Allocator::class(bytes);
            assert!(
                class >= bytes && class.is_multiple_of(SMALLEST),
                "{bytes}: {class}"
            );
            assert!(
                class <= bytes + (bytes / 8).max(SMALLEST),
                "{bytes}: {class}"
            );
            assert_eq!(Allocator::class(class), class);
        }
    }

    #[test]
    fn a_second_step_of_the_same_sizes_asks_for_nothing() {
        let (fake, mut cache) = (Fake::new(1 << 30), Allocator::default());
        let sizes = [4000, 70_000, 70_001, 512, 9_000_000];
        for step in 0..3 {
            let blocks: Vec<u64> = sizes
                .iter()
                .map(|&n| take(&mut cache, &fake, n).expect("there is room"))
                .collect();
            for (i, a) in blocks.iter().enumerate() {
                assert!(!blocks[..i].contains(a), "a block in use was handed out");
            }
            for (&n, a) in sizes.iter().zip(blocks) {
                cache.put(a, n);
            }
            assert_eq!(*fake.asked.borrow(), sizes.len(), "step {step}");
            assert_eq!(cache.used(), 0);
        }
        let out: usize = fake.out.borrow().values().sum();
        assert_eq!(cache.held(), out);
    }

    #[test]
    fn what_is_free_is_given_back_before_memory_counts_as_full() {
        let (fake, mut cache) = (Fake::new(10_000), Allocator::default());
        let first = take(&mut cache, &fake, 6000).expect("room for one");
        cache.put(first, 6000);
        // Another class: the cached block doesn't fit, and both together are too much.
        let second = take(&mut cache, &fake, 9000).expect("the free block goes back first");
        assert_eq!(fake.out.borrow().len(), 1);
        assert_eq!(take(&mut cache, &fake, 9000), Err("full"));
        cache.put(second, 9000);
        assert_eq!(cache.used(), 0);
        cache.clear(|a| fake.give_back(a));
        assert_eq!((cache.held(), fake.out.borrow().len()), (0, 0));
    }
}
