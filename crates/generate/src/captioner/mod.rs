//! From pictures to captions in one call: files, encoders, decoders and search behind [`Captioner`].
//!
//! ```no_run
//! use generate::{Captioner, Options};
//! use tensor::Device;
//!
//! let captioner = Captioner::load("models/flickr8k.safetensors", &Device::cpu(0))?;
//! let photo = std::fs::read("photo.jpg")?;
//! for caption in captioner.caption(&photo, &Options::default())? {
//!     println!("{} ({:.2})", caption.text, caption.log_prob);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/caption.rs` is the same as a program. Many pictures go through [`Captioner::caption_each`] in blocks:
//! while one block is encoded and captioned, the next is read, decoded and resized on whatever threads are free, so
//! that memory is that of two blocks however many pictures there are. Not here: words on a command line (`cli`).

mod attention;
mod error;
mod member;
mod options;
mod source;

use std::path::Path;

use data::Vocabulary;
use data::picture::{PictureError, Preprocessing};
use models::Decoder;
use rayon::prelude::*;
use tensor::Device;

pub use error::CaptionError;
pub use options::{Options, Sampling};
pub use source::Source;

use crate::{Caption, Ensemble, beam, sample};
use member::{Assembled, Eye, Loaded, Member, Seen, assemble};
use options::Search;
use source::Prepared;

/// Pictures that are encoded together: enough for all threads, few enough to stay small.
pub const BLOCK: usize = 32;

/// A sentence about a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// Words joined by blanks.
    pub text: String,
    /// The words.
    pub words: Vec<String>,
    /// Natural log probability of the sentence, its end included: the sum of `word_log_probs`.
    pub log_prob: f64,
    /// Natural log probability of each word, then that of the end if the sentence has one.
    pub word_log_probs: Vec<f32>,
    /// True if the sentence came to its end, false if it was cut off at the last allowed word.
    pub finished: bool,
    /// Where the model looked, if that was asked for and the model has attention.
    pub attention: Option<Attention>,
}

/// How much each region of a picture mattered for each word.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Rows and columns of regions over the picture as the encoder sees it; R is their product.
    pub grid: [usize; 2],
    /// (words, R), each row with the sum 1; regions in reading order.
    pub weights: Vec<f32>,
}

/// One model, or several that write together, ready to caption pictures.
pub struct Captioner {
    eyes: Vec<Eye>,
    members: Vec<Member>,
    vocabulary: Vocabulary,
    device: Device,
}

impl Captioner {
    /// A captioner from a checkpoint with its encoder inside.
    ///
    /// # Errors
    /// The file can't be loaded, or holds no encoder.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, CaptionError> {
        Self::load_all(&[path], None, device)
    }

    /// A captioner of one or several checkpoints, whose probabilities are averaged. `encoder` is the weight file for
    /// those that hold none.
    ///
    /// # Errors
    /// A file can't be loaded, no encoder is known for it, or the parts don't fit.
    pub fn load_all(
        checkpoints: &[impl AsRef<Path>],
        encoder: Option<&Path>,
        device: &Device,
    ) -> Result<Self, CaptionError> {
        let load = |path: &Path| {
            Ok(Loaded {
                path: path.into(),
                checkpoint: checkpoint::load_any(path)?,
            })
        };
        let all = checkpoints.iter().map(|path| load(path.as_ref()));
        let all = all.collect::<Result<Vec<_>, CaptionError>>()?;
        let Assembled {
            eyes,
            members,
            vocabulary,
        } = assemble(all, encoder, device)?;
        Ok(Self {
            eyes,
            members,
            vocabulary,
            device: device.clone(),
        })
    }

    /// Words that captions may have.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// How pictures are prepared for the model that looks at regions: captions can tell where it looked. None if there is
    /// none.
    pub fn attentive(&self) -> Option<&Preprocessing> {
        let looks = |m: &&Member| m.decoder.config().reads_regions();
        let member = self.members.iter().find(looks)?;
        Some(&self.eyes[member.encoder].preprocessing)
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Captions of one picture, best first: at least one.
    ///
    /// # Errors
    /// The picture doesn't decode; options that can't be.
    pub fn caption<'a>(
        &self,
        picture: impl Into<Source<'a>>,
        options: &Options,
    ) -> Result<Vec<Sentence>, CaptionError> {
        let mut all = self.caption_all(&[picture.into()], options)?;
        Ok(all.pop().expect("one answer a picture")?)
    }

    /// Captions of many pictures, each with its own answer, in order.
    ///
    /// # Errors
    /// Options that can't be, before any picture is read.
    pub fn caption_all(
        &self,
        pictures: &[Source<'_>],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        let mut all = Vec::with_capacity(pictures.len());
        self.caption_each(pictures, options, |_, captions| {
            all.push(captions);
            Ok::<_, CaptionError>(())
        })?;
        Ok(all)
    }

    /// As [`caption_all`](Self::caption_all), but `done` hears each answer, with the picture's place, as soon as it is
    /// there and in order. It may stop the rest with an error of its own.
    ///
    /// # Errors
    /// As `caption_all`; what `done` returns.
    pub fn caption_each<E: From<CaptionError>>(
        &self,
        pictures: &[Source<'_>],
        options: &Options,
        mut done: impl FnMut(usize, Result<Vec<Sentence>, PictureError>) -> Result<(), E>,
    ) -> Result<(), E> {
        let search = options.search(&self.vocabulary)?;
        self.check(&search)?;
        let mut blocks = pictures.chunks(BLOCK);
        let prepare = |block: Option<&[Source<'_>]>| self.prepare(block.unwrap_or(&[]), options);
        let mut prepared = self.device.install(|| prepare(blocks.next()));
        let mut first = 0;
        while first < pictures.len() {
            let count = prepared.len();
            let following = blocks.next();
            let (captions, next) = self.device.install(|| {
                rayon::join(
                    || self.describe(prepared, &search, options),
                    || prepare(following),
                )
            });
            for (place, captions) in (first..).zip(captions?) {
                done(place, captions)?;
            }
            (first, prepared) = (first + count, next);
        }
        Ok(())
    }

    /// Decodes and resizes a block of pictures on all threads.
    fn prepare(
        &self,
        block: &[Source<'_>],
        options: &Options,
    ) -> Vec<Result<Prepared, PictureError>> {
        let wanted: Vec<&Preprocessing> = self.eyes.iter().map(|e| &e.preprocessing).collect();
        let one = |source: &Source<'_>| source.prepare(&options.decode, &wanted);
        // One task a picture: they differ in size by orders of magnitude.
        block.par_iter().with_max_len(1).map(one).collect()
    }

    /// Encodes and captions a block.
    fn describe(
        &self,
        block: Vec<Result<Prepared, PictureError>>,
        search: &Search,
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        let whole: Vec<&Prepared> = block.iter().flatten().collect();
        if whole.is_empty() {
            return Ok(block.into_iter().map(|one| one.map(|_| vec![])).collect());
        }
        let seen: Vec<Seen> = (0..self.eyes.len())
            .map(|eye| {
                let planes: Vec<f32> = whole
                    .iter()
                    .flat_map(|p| p.planes[eye].iter().copied())
                    .collect();
                self.eyes[eye].look(&planes)
            })
            .collect();
        let keys: Vec<u64> = whole.iter().map(|p| p.key).collect();
        let found = self.search(&seen, &keys, search)?;
        let mut found = found.into_iter().enumerate();
        let answers = block.into_iter().map(|one| {
            one.map(|_| {
                let (row, captions) = found.next().expect("one answer a picture");
                let sentence = |caption| self.sentence(caption, &seen, row, options);
                captions.into_iter().map(sentence).collect()
            })
        });
        Ok(answers.collect())
    }

    /// Captions of each row of what was seen.
    fn search(
        &self,
        seen: &[Seen],
        keys: &[u64],
        search: &Search,
    ) -> Result<Vec<Vec<Caption>>, CaptionError> {
        let start = |m: &Member| m.decoder.start(seen[m.encoder].of(&m.decoder));
        Ok(match &self.members[..] {
            // The same as an ensemble of one, without a copy.
            [member] => {
                let (decoder, state) = (&member.decoder, start(member));
                match search {
                    Search::Beam(options) => beam(decoder, &state, keys.len(), options)?,
                    Search::Sample(options) => sample(decoder, &state, keys, options)?,
                }
            }
            members => {
                let decoder: Ensemble<'_, Decoder> = self.ensemble();
                let state = members.iter().map(start).collect();
                match search {
                    Search::Beam(options) => beam(&decoder, &state, keys.len(), options)?,
                    Search::Sample(options) => sample(&decoder, &state, keys, options)?,
                }
            }
        })
    }

    fn ensemble(&self) -> Ensemble<'_, Decoder> {
        Ensemble::new(self.members.iter().map(|m| &m.decoder).collect())
    }

    /// Options that the search refuses, before any picture is read.
    fn check(&self, search: &Search) -> Result<(), CaptionError> {
        match search {
            Search::Beam(options) => options.check(self.vocabulary.len())?,
            Search::Sample(options) => options.check(self.vocabulary.len())?,
        }
        Ok(())
    }

    fn sentence(&self, caption: Caption, seen: &[Seen], row: usize, options: &Options) -> Sentence {
        let looked = || attention::attention(&self.members, &self.eyes, seen, row, &caption.tokens);
        let attention = options.attention.then(looked).flatten();
        let word = |&id: &u32| self.vocabulary.word(id).unwrap_or("?").to_owned();
        let words: Vec<String> = caption.tokens.iter().map(word).collect();
        Sentence {
            text: words.join(" "),
            words,
            log_prob: caption.log_prob,
            word_log_probs: caption.word_log_probs,
            finished: caption.finished,
            attention,
        }
    }
}
