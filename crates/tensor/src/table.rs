//! A table whose rows are picked again and again: the features of pictures that stay as they are.
//!
//! On a GPU it lies there as a whole, if it fits, so that a step uploads the numbers of its rows and not the rows: 1.6 MB for
//! 100 pictures of 4096 numbers, which take as long to copy as the step takes. On the host numbers of 16 bits stay so.

use crate::numbers::widen;
use crate::{Device, Numbers, Tensor, step};

/// Rows of one width.
#[derive(Debug)]
pub struct Table {
    device: Device,
    width: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Host(Numbers),
    /// (N, W).
    Gpu(Tensor),
}

impl Table {
    /// Share of a GPU's memory that a table may take, as 1 over this: the rest is for a model and what it computes.
    const SHARE: usize = 4;

    /// True if `device` has a GPU, on which so many numbers can stay.
    pub fn fits(device: &Device, numbers: usize) -> bool {
        let bytes = numbers.saturating_mul(size_of::<f32>());
        let gpu = device.gpu();
        gpu.is_some_and(|gpu| bytes <= gpu.memory_of_device() / Self::SHARE)
    }

    /// A table of rows of `width` numbers.
    ///
    /// # Panics
    /// If the last row is not whole.
    pub fn new(device: &Device, width: usize, numbers: Numbers) -> Self {
        let rows = numbers.len() / width.max(1);
        assert_eq!(rows * width, numbers.len(), "whole rows of {width}");
        let gpu = device.gpu().filter(|_| Self::fits(device, numbers.len()));
        let place = match gpu {
            Some(gpu) => {
                let all = gpu.array_of(&numbers.singles());
                Place::Gpu(Tensor::from_array(device, &[rows, width], all))
            }
            None => Place::Host(numbers),
        };
        Self {
            device: device.clone(),
            width,
            place,
        }
    }

    /// The rows `picked`, (n, W).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn pick(&self, picked: &[usize]) -> Tensor {
        let numbers = match &self.place {
            Place::Gpu(all) => return step::rows(all, picked),
            Place::Host(numbers) => numbers,
        };
        let width = self.width;
        let mut rows = self.device.buffer(picked.len() * width);
        for (to, &row) in rows.chunks_exact_mut(width.max(1)).zip(picked) {
            let at = row * width..(row + 1) * width;
            match numbers {
                Numbers::Singles(all) => to.copy_from_slice(&all[at]),
                Numbers::Halves(all) => widen(&all[at], to),
            }
        }
        Tensor::new(&self.device, &[picked.len(), width], rows)
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn rows_are_those_of_the_table_in_16_bits_too() {
        let device = Device::cpu(1);
        let all: Vec<f32> = (0..15).map(|i| i as f32 * 0.25 - 1.0).collect();
        let halves: Vec<f16> = all.iter().map(|&x| f16::from_f32(x)).collect();
        for numbers in [Numbers::from(all.clone()), Numbers::from(halves)] {
            let table = Table::new(&device, 3, numbers);
            let rows = table.pick(&[4, 0, 4]);
            assert_eq!(rows.shape(), [3, 3]);
            assert_eq!(rows.data(), [&all[12..], &all[..3], &all[12..]].concat());
        }
        let none = Table::new(&device, 3, Vec::<f32>::new().into());
        assert_eq!(none.pick(&[]).shape(), [0, 3]);
    }

    #[test]
    #[should_panic(expected = "whole rows of 4")]
    fn part_of_a_row_is_refused() {
        Table::new(&Device::cpu(1), 4, vec![1.0; 6].into());
    }
}
