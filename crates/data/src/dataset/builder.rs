//! Pictures and sentences that arrive in any order, grouped by picture.
//!
//! Here: what every form without `imgid` and `sentid` has in common: pictures are numbered in the order in which they
//! are first named, sentences in the order of the file, tokens come from the raw text.
//! Not here: parsing.

use std::collections::HashMap;

use super::split_rule::SplitRule;
use super::tokens::tokenize;
use super::{Caption, ImageRecord, Split};

/// Grows image by image, sentence by sentence.
#[derive(Default)]
pub(super) struct Builder {
    images: Vec<ImageRecord>,
    /// The split that was stated, by image.
    splits: Vec<Option<Split>>,
    by_path: HashMap<String, usize>,
    sentences: u32,
}

impl Builder {
    /// Index of the picture at `path`, new or known.
    pub fn image(&mut self, path: &str) -> usize {
        if let Some(&index) = self.by_path.get(path) {
            return index;
        }
        self.by_path.insert(path.to_owned(), self.images.len());
        self.new_image(path)
    }

    /// Index of a new picture, even if one of the same path is known.
    pub fn new_image(&mut self, path: &str) -> usize {
        let index = self.images.len();
        self.images.push(ImageRecord {
            imgid: index as u32,
            path: path.to_owned(),
            split: Split::Train,
            captions: Vec::new(),
        });
        self.splits.push(None);
        index
    }

    /// States a picture's split; the last statement counts.
    pub fn split(&mut self, image: usize, split: Split) {
        self.splits[image] = Some(split);
    }

    /// Adds a sentence.
    pub fn caption(&mut self, image: usize, raw: &str) {
        let sentid = self.sentences;
        self.sentences += 1;
        self.images[image].captions.push(Caption {
            sentid,
            raw: raw.to_owned(),
            tokens: tokenize(raw),
        });
    }

    /// The pictures. Where no split was stated, `rule` decides; where some were, the other pictures are for training.
    pub fn finish(mut self, rule: SplitRule) -> Vec<ImageRecord> {
        if self.splits.iter().all(Option::is_none) {
            rule.apply(&mut self.images);
        } else {
            for (image, split) in self.images.iter_mut().zip(self.splits) {
                image.split = split.unwrap_or(Split::Train);
            }
        }
        self.images
    }
}
