//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
//! as 1, 2, 3", 2011).
//!
//! The n-th number of a stream is a pure function of (seed, stream, n), so that any thread, or a
//! GPU, computes any part of a dropout mask and gets the same bits. That is why this is here and
//! not a sequential generator from a crate.

/// Ten rounds of Philox on one counter.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let p0 = u64::from(c0) * 0xD251_1F53;
        let p1 = u64::from(c2) * 0xCD9E_8D57;
        let next0 = (p1 >> 32) as u32 ^ c1 ^ k0;
        let next2 = (p0 >> 32) as u32 ^ c3 ^ k1;
        (c0, c1, c2, c3) = (next0, p1 as u32, next2, p0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// Words `4 * block ..` of the stream.
#[inline(always)]
pub fn block(seed: u64, stream: u64, block: u64) -> [u32; 4] {
    philox(
        [
            block as u32,
            (block >> 32) as u32,
            stream as u32,
            (stream >> 32) as u32,
        ],
        [seed as u32, (seed >> 32) as u32],
    )
}

/// One stream read in order.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    stream: u64,
    drawn: u64,
}

impl Random {
    /// The stream `stream` of `seed`, from its beginning.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            seed,
            stream,
            drawn: 0,
        }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let words = block(self.seed, self.stream, self.drawn / 2);
        let half = 2 * (self.drawn % 2) as usize;
        self.drawn += 1;
        u64::from(words[half]) | u64::from(words[half + 1]) << 32
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of the authors' Random123 library, philox4x32 10 rounds.
    #[test]
    fn known_answers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_has_the_right_mean_and_variance() {
        let mut random = Random::new(7, 3);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.004 && (variance - 1.0 / 12.0).abs() < 0.002);
    }
}
