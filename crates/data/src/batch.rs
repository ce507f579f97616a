//! What one training step or one evaluation step works on: pictures' vectors and their sentences.
//!
//! Here: [`Batch`]: sentences sorted longest first, each picture's vector once. Not here: which sentences
//! (`sampler.rs`), their layout in time (`packed.rs`).

use std::collections::HashMap;

use crate::encoded::Encoded;
use crate::features::Features;
use crate::packed::Packed;

/// A picture whose vector is not in the feature file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("picture {imgid} has no vector: `{features}` holds {count}")]
pub struct MissingFeature {
    /// The picture.
    pub imgid: u32,
    /// The feature file's name.
    pub features: String,
    /// N, vectors in that file.
    pub count: usize,
}

impl MissingFeature {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        Some("are these the features of another dataset? `neuraltalk check-data` lists all such pictures".into())
    }
}

/// Sentences with their pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// (I, R, D) vectors of the distinct pictures, in the order of their first pick; none where an encoder makes them.
    pub features: Vec<f32>,
    /// R.
    pub regions: usize,
    /// D.
    pub dimension: usize,
    /// (I) those pictures, as indices in `encoded.images`.
    pub pictures: Vec<usize>,
    /// (B) for each sentence the row of its picture in `features`.
    pub image_of: Vec<usize>,
    /// (B) word indices without START and END, longest first; equal lengths keep the order of the picks.
    pub sentences: Vec<Vec<u32>>,
    /// (B) for each sentence which pick it was.
    pub pick_of: Vec<usize>,
}

impl Batch {
    /// The batch of `picks`, pairs of (index in `encoded.images`, sentence of that picture).
    ///
    /// # Errors
    /// A picture has no vector.
    ///
    /// # Panics
    /// Where a pick points at nothing.
    pub fn new(
        encoded: &Encoded,
        features: &Features,
        picks: &[(usize, usize)],
    ) -> Result<Self, MissingFeature> {
        let mut batch = Self::of_sentences(encoded, picks);
        for &image in &batch.pictures {
            let imgid = encoded.images[image].imgid;
            let vector = features.row(imgid).ok_or_else(|| MissingFeature {
                imgid,
                features: features.name().to_owned(),
                count: features.len(),
            })?;
            batch.features.extend_from_slice(vector);
        }
        (batch.regions, batch.dimension) = (features.regions(), features.dimension());
        Ok(batch)
    }

    /// The same without vectors.
    ///
    /// # Panics
    /// Where a pick points at nothing.
    pub fn of_sentences(encoded: &Encoded, picks: &[(usize, usize)]) -> Self {
        let sentence = |pick: usize| {
            let (image, caption) = picks[pick];
            &encoded.images[image].sentences[caption]
        };
        let mut order: Vec<usize> = (0..picks.len()).collect();
        order.sort_by_key(|&pick| std::cmp::Reverse(sentence(pick).len())); // stable
        let mut rows = HashMap::new();
        let mut pictures = Vec::new();
        for &(image, _) in picks {
            rows.entry(image).or_insert_with(|| {
                pictures.push(image);
                pictures.len() - 1
            });
        }
        Self {
            features: Vec::new(),
            regions: 0,
            dimension: 0,
            pictures,
            image_of: order.iter().map(|&pick| rows[&picks[pick].0]).collect(),
            sentences: order.iter().map(|&pick| sentence(pick).clone()).collect(),
            pick_of: order,
        }
    }

    /// I, distinct pictures.
    pub fn images(&self) -> usize {
        self.pictures.len()
    }

    /// The sentences' packing tables.
    pub fn packed(&self) -> Packed {
        Packed::new(&self.sentences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoded::EncodedImage;

    fn encoded() -> Encoded {
        let image = |imgid, sentences: &[&[u32]]| EncodedImage {
            imgid,
            sentences: sentences.iter().map(|s| s.to_vec()).collect(),
        };
        Encoded {
            images: vec![image(2, &[&[1], &[2, 3], &[]]), image(0, &[&[4, 5], &[6]])],
        }
    }

    #[test]
    fn sentences_stand_longest_first_and_pictures_once() {
        let features = Features::from_rows("f", 2, vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        let picks = [(0, 0), (1, 0), (0, 2), (0, 1), (1, 1)];
        let batch = Batch::new(&encoded(), &features, &picks).expect("all vectors are there");
        assert_eq!(
            batch.sentences,
            [vec![4, 5], vec![2, 3], vec![1], vec![6], vec![]]
        );
        assert_eq!(batch.pick_of, [1, 3, 0, 4, 2]);
        assert_eq!(batch.image_of, [1, 0, 0, 1, 0]);
        assert_eq!(batch.features, [2.0, 2.5, 0.0, 0.5]);
        assert_eq!(batch.pictures, [0, 1]);
        assert_eq!((batch.images(), batch.dimension), (2, 2));
        assert_eq!(batch.packed().live, [5, 4, 2]);
    }

    #[test]
    fn a_picture_without_a_vector_is_named() {
        let features = Features::from_rows("other.mat", 1, vec![0.0, 1.0]);
        let error = Batch::new(&encoded(), &features, &[(1, 0), (0, 0)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "picture 2 has no vector: `other.mat` holds 2"
        );
    }
}
