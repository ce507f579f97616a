//! Feature vectors of made-up pictures, and the MATLAB file that holds them.
//!
//! Every fact has a random direction; a picture's vector is the sum of its facts' directions and
//! noise, clipped at 0 as a network's last ReLU layer is. The file is MAT level 4 (MathWorks,
//! "MAT-File Format", level 4): a header of five numbers, the name, the columns.

use tensor::random::Random;

use super::scene::{COLOURS, COUNTS, PLACES, SHAPES, Scene};

/// D: enough for the facts to be told apart, little enough to train in seconds.
pub(super) const DIMENSION: usize = 64;
/// Standard deviation of the noise; directions have 1.
const NOISE: f64 = 0.3;
/// Stream of the directions; pictures use 1000 times their set's number and up.
const DIRECTIONS: u64 = 0;

/// Turns scenes into vectors.
pub(super) struct FeatureMaker {
    seed: u64,
    directions: Vec<Vec<f64>>,
}

impl FeatureMaker {
    /// Directions for all facts.
    pub(super) fn new(seed: u64) -> Self {
        let facts = COUNTS.len() + SHAPES.len() + PLACES.len() + 2 * COLOURS.len();
        let mut random = Random::new(seed, DIRECTIONS);
        let directions = (0..facts)
            .map(|_| (0..DIMENSION).map(|_| normal(&mut random)).collect())
            .collect();
        Self { seed, directions }
    }

    /// One picture's vector (D); `stream` is its own source of noise.
    fn vector(&self, scene: &Scene, stream: u64) -> Vec<f32> {
        let mut facts = Vec::with_capacity(5);
        let mut start = 0;
        for (fact, of) in [
            (scene.count, COUNTS.len()),
            (scene.shape, SHAPES.len()),
            (scene.place, PLACES.len()),
            (scene.colour, COLOURS.len()),
            (scene.ground, COLOURS.len()),
        ] {
            facts.push(&self.directions[start + fact]);
            start += of;
        }
        let mut random = Random::new(self.seed, stream);
        (0..DIMENSION)
            .map(|d| {
                let sum: f64 = facts.iter().map(|direction| direction[d]).sum();
                (sum + NOISE * normal(&mut random)).max(0.0) as f32
            })
            .collect()
    }

    /// `feats` (D, N) single, one column a picture.
    pub(super) fn mat_file(&self, scenes: &[Scene], set: u64) -> Vec<u8> {
        const NAME: &[u8] = b"feats\0";
        /// Little endian, single precision, full matrix.
        const TYPE: u32 = 10;
        let mut bytes = Vec::with_capacity(26 + 4 * DIMENSION * scenes.len());
        let header = [
            TYPE,
            DIMENSION as u32,
            scenes.len() as u32,
            0,
            NAME.len() as u32,
        ];
        header.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes.extend(NAME);
        for (imgid, scene) in scenes.iter().enumerate() {
            let vector = self.vector(scene, (set << 32) + imgid as u64);
            vector.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        }
        bytes
    }
}

/// Standard normal (Box & Muller 1958).
fn normal(random: &mut Random) -> f64 {
    // 1 - u is never 0.
    let radius = (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.uniform()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_smaller_than_any_fact() {
        let maker = FeatureMaker::new(1);
        let mut random = Random::new(3, 3);
        let scene = Scene::draw(&mut random);
        let mut other = scene;
        other.count = (scene.count + 1) % 3;
        let distance =
            |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
        let (a, b, c) = (
            maker.vector(&scene, 100),
            maker.vector(&scene, 101),
            maker.vector(&other, 102),
        );
        assert!(2.0 * distance(&a, &b) < distance(&a, &c));
        assert_eq!(maker.vector(&scene, 100), a);
    }
}
