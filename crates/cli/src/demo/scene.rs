//! What is in a made-up picture, and five sentences that say it.

use tensor::random::Random;

/// Colours of shapes and grounds, with their red, green and blue.
pub(super) const COLOURS: [(&str, [u8; 3]); 6] = [
    ("red", [214, 48, 49]),
    ("green", [46, 160, 67]),
    ("blue", [38, 96, 198]),
    ("yellow", [245, 205, 47]),
    ("black", [32, 32, 36]),
    ("white", [246, 246, 244]),
];
/// Shapes, one and several.
pub(super) const SHAPES: [[&str; 2]; 3] = [
    ["circle", "circles"],
    ["square", "squares"],
    ["triangle", "triangles"],
];
/// How many, from one.
pub(super) const COUNTS: [&str; 3] = ["one", "two", "three"];
/// Where in the picture.
pub(super) const PLACES: [&str; 3] = ["top", "middle", "bottom"];

/// A picture's facts, as indices into the tables above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) count: usize,
    pub(super) colour: usize,
    pub(super) shape: usize,
    pub(super) place: usize,
    pub(super) ground: usize,
}

impl Scene {
    /// A random one; shapes and ground differ in colour.
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut below = |n: usize| (random.uniform() * n as f64) as usize;
        let colour = below(COLOURS.len());
        Self {
            count: below(COUNTS.len()),
            colour,
            shape: below(SHAPES.len()),
            place: below(PLACES.len()),
            ground: (colour + 1 + below(COLOURS.len() - 1)) % COLOURS.len(),
        }
    }

    /// Five ways to say it, words separated by single blanks.
    pub(super) fn sentences(&self) -> [String; 5] {
        let count = COUNTS[self.count];
        let colour = COLOURS[self.colour].0;
        let several = usize::from(self.count > 0);
        let shape = SHAPES[self.shape][several];
        let is = ["is", "are"][several];
        let place = PLACES[self.place];
        let ground = COLOURS[self.ground].0;
        [
            format!("{count} {colour} {shape} on a {ground} background"),
            format!("there {is} {count} {colour} {shape} at the {place}"),
            format!("{count} {colour} {shape} at the {place} of a {ground} picture"),
            format!("a {ground} picture with {count} {colour} {shape}"),
            format!("{count} {colour} {shape} {is} at the {place} on {ground}"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_agree_in_number() {
        let mut scene = Scene {
            count: 0,
            colour: 0,
            shape: 2,
            place: 1,
            ground: 5,
        };
        let one = scene.sentences();
        assert_eq!(one[1], "there is one red triangle at the middle");
        scene.count = 2;
        let three = scene.sentences();
        assert_eq!(three[1], "there are three red triangles at the middle");
        assert_eq!(three[0], "three red triangles on a white background");
    }

    #[test]
    fn every_fact_is_drawn_and_shapes_can_be_seen() {
        let mut random = Random::new(1, 1);
        let scenes: Vec<Scene> = (0..500).map(|_| Scene::draw(&mut random)).collect();
        assert!(scenes.iter().all(|s| s.colour != s.ground));
        let distinct = |of: fn(&Scene) -> usize| {
            let mut all: Vec<usize> = scenes.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        assert_eq!(distinct(|s| s.count), 3);
        assert_eq!(distinct(|s| s.colour), 6);
        assert_eq!(distinct(|s| s.ground), 6);
        assert_eq!(distinct(|s| s.shape), 3);
        assert_eq!(distinct(|s| s.place), 3);
    }
}
