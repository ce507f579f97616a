//! What the service needs of a model, so that its tests can have one that answers as they like.

use data::picture::PictureError;
use generate::{CaptionError, Captioner, Options, Sentence, Source};

/// Pictures to sentences.
pub trait Caption: Send + Sync + 'static {
    /// Captions of each picture, given as the bytes of its file; a picture that doesn't decode doesn't
    /// stop the others.
    ///
    /// # Errors
    /// Options that can't be.
    fn caption(
        &self,
        pictures: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError>;
}

impl Caption for Captioner {
    fn caption(
        &self,
        pictures: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        let sources: Vec<Source<'_>> = pictures.iter().map(|&bytes| Source::Bytes(bytes)).collect();
        self.caption_all(&sources, options)
    }
}
