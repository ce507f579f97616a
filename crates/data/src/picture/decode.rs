//! From the bytes of a picture file to upright opaque RGB.
//!
//! Here: limits that are checked before anything is allocated, EXIF orientation, alpha over white, 16-bit and float
//! samples, and whether a file is cut off. Not here: the formats themselves, which are the `image` crate's (of a GIF the
//! first frame; CMYK JPEGs are converted by its decoder).

use std::error::Error;
use std::io::{Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageReader, RgbImage};

use super::{Picture, PictureError};

/// What decoding may cost, and whether part of a picture will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels, by what the header states.
    pub max_pixels: u64,
    /// Most bytes for the samples, the RGB picture and (where its decoder counts them) the decoder's own buffers.
    pub max_bytes: u64,
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Whether a file that is cut off gives what had been decoded instead of an error.
    pub allow_truncated: bool,
}

impl Default for DecodeLimits {
    /// 178.9 million pixels (Pillow's limit for an error: a GiB / 4 / 3 * 2), 2 GiB, files of at most 1 GiB.
    fn default() -> Self {
        Self {
            max_pixels: 178_956_970,
            max_bytes: 2 << 30,
            max_file_bytes: 1 << 30,
            allow_truncated: false,
        }
    }
}

/// Reads and decodes a file.
///
/// # Errors
/// The file can't be read, is larger than the limit, or doesn't decode; the error names it.
pub fn open(path: impl AsRef<Path>, limits: &DecodeLimits) -> Result<Picture, PictureError> {
    let path = path.as_ref();
    let read = |source| PictureError::Read {
        path: path.into(),
        source,
    };
    let in_file = |source| PictureError::File {
        path: path.into(),
        source: Box::new(source),
    };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more, also where the size isn't known (a pipe).
    let mut limited = file.take(limits.max_file_bytes.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(read)?;
    if limits.max_file_bytes < bytes.len() as u64 {
        let limit = limits.max_file_bytes;
        return Err(in_file(PictureError::TooManyBytes { limit }));
    }
    decode(&bytes, limits).map_err(in_file)
}

/// Decodes a picture of any format that is known by its first bytes.
///
/// # Errors
/// Not a picture, over a limit, cut off (unless allowed) or malformed.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    // The formats' decoders are other people's code that meets strangers' files: should one panic, one picture is lost.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, limits)))
        .unwrap_or_else(|_| Err(PictureError::Malformed("its decoder gave up".into())))
}

fn decode_unguarded(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| PictureError::Malformed(e.to_string()))?;
    let Some(format) = reader.format() else {
        let bytes = bytes.len();
        return Err(PictureError::UnknownFormat { bytes });
    };
    let mut allowed = image::Limits::default();
    allowed.max_alloc = Some(limits.max_bytes);
    reader.limits(allowed);
    let explain = |e| explain(&e, bytes.len(), limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if limits.max_pixels < pixels {
        return Err(PictureError::TooManyPixels {
            width,
            height,
            limit: limits.max_pixels,
        });
    }
    // Samples, RGB, and RGB once more while it is turned.
    if limits.max_bytes < decoder.total_bytes().saturating_add(pixels * 6) {
        let limit = limits.max_bytes;
        return Err(PictureError::TooManyBytes { limit });
    }
    if pixels == 0 {
        return Err(PictureError::Malformed(format!(
            "{width} x {height} pixels"
        )));
    }
    // The JPEG decoder fills up what is missing and says nothing.
    if format == image::ImageFormat::Jpeg && !limits.allow_truncated && !jpeg_ends(bytes) {
        let bytes = bytes.len();
        return Err(PictureError::Truncated { bytes });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    if let Err(error) = decoder.read_image(&mut samples).map_err(explain) {
        match error {
            PictureError::Truncated { .. } if limits.allow_truncated => {}
            error => return Err(error),
        }
    }
    let rgb = rgb(samples, color)?;
    let picture = RgbImage::from_raw(width, height, rgb).expect("three bytes a pixel");
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    Ok(Picture {
        width: picture.width() as usize,
        height: picture.height() as usize,
        rgb: picture.into_rgb8().into_raw(),
    })
}

/// Whether an end marker follows the last scan (there may be a thumbnail with one of its own before).
fn jpeg_ends(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) => scan < end,
        // Without a scan the decoder has better words for it.
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// Eight bits a channel, alpha over white.
fn rgb(samples: Vec<u8>, color: ColorType) -> Result<Vec<u8>, PictureError> {
    let channels = usize::from(color.channel_count());
    let eight: Vec<u8> = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => samples,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let (words, _) = samples.as_chunks::<2>();
            let narrow = |&b: &[u8; 2]| ((u32::from(u16::from_ne_bytes(b)) + 128) / 257) as u8;
            words.iter().map(narrow).collect()
        }
        ColorType::Rgb32F | ColorType::Rgba32F => {
            let (floats, _) = samples.as_chunks::<4>();
            // `as` takes NaN to 0 and clamps.
            let narrow = |&b: &[u8; 4]| (f32::from_ne_bytes(b) * 255.0 + 0.5) as u8;
            floats.iter().map(narrow).collect()
        }
        other => {
            let problem = format!("samples of type {other:?} are not read");
            return Err(PictureError::Malformed(problem));
        }
    };
    let over = |c: u8, alpha: u8| {
        let (c, alpha) = (u32::from(c), u32::from(alpha));
        ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    Ok(match channels {
        1 => eight.iter().flat_map(|&l| [l; 3]).collect(),
        2 => {
            let (pixels, _) = eight.as_chunks::<2>();
            pixels.iter().flat_map(|&[l, a]| [over(l, a); 3]).collect()
        }
        3 => eight,
        _ => {
            let (pixels, _) = eight.as_chunks::<4>();
            let blend = |&[r, g, b, a]: &[u8; 4]| [over(r, a), over(g, a), over(b, a)];
            pixels.iter().flat_map(blend).collect()
        }
    })
}

/// The decoder's error in our words.
fn explain(error: &ImageError, bytes: usize, limits: &DecodeLimits) -> PictureError {
    if let ImageError::Limits(_) = error {
        let limit = limits.max_bytes;
        return PictureError::TooManyBytes { limit };
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(now) = cause {
        let io = now.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| e.kind() == ErrorKind::UnexpectedEof) {
            return PictureError::Truncated { bytes };
        }
        cause = now.source();
    }
    let text = error.to_string();
    let lower = text.to_lowercase();
    let cut_off = [
        "unexpected end",
        "unexpected eof",
        "end of file",
        "exhausted",
        "not enough bytes",
    ];
    match cut_off.iter().any(|words| lower.contains(words)) {
        true => PictureError::Truncated { bytes },
        false => PictureError::Malformed(text.trim_end().to_owned()),
    }
}
