//! Pictures: from the bytes of a file to the numbers that an encoder takes.
//!
//! Here: what a decoded picture is. Decoding and its limits are in `decode.rs`, what an encoder wants of a picture in
//! `preprocessing.rs`, resizing in `resize.rs`, random changes of training pictures in `augment.rs`. Not here: the encoders (`models`).

mod augment;
mod decode;
mod error;
mod preprocessing;
mod resize;

pub use augment::{Augmentation, Change};
pub use decode::{DecodeLimits, decode, open};
pub use error::PictureError;
pub use preprocessing::{ChannelOrder, Fit, Preprocessing, Sampling};
pub use resize::{Filter, Weighed};

/// A decoded picture: upright, opaque, 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Rows from the top, each pixel red, green, blue: `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}
