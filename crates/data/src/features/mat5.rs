//! MATLAB files of version 5 (also written by versions 6 and 7, the latter compressed): the matrix `feats`.
//!
//! A header of 128 bytes, then one element per variable. An element is a tag (type, bytes) and its data, padded to
//! 8 bytes; up to 4 bytes of data may sit in the tag itself. A matrix is an element of elements: flags, dimensions,
//! name, numbers. A compressed variable is a zlib stream of such an element. Numbers may be stored in a smaller type
//! than the matrix has (MATLAB stores a double matrix of small integers as bytes).
//!
//! Memory: the f32 matrix and some blocks. Of a compressed variable, room for 16 times its stored size is made at once,
//! the rest grows with what was really inflated (at most twice that).
//! Source: MathWorks, "MAT-File Format" (R2019b), chapter 1. Not here: cells, structs, sparse or complex matrices.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::number::Number;
use super::stream::Stream;
use super::{Matrix, Storage};
use crate::error::{DataError, Position, Source};

const FORMAT: &str = "MAT v5";
/// Bytes before the first element.
const HEADER: u64 = 128;
/// Room made at once for a compressed matrix, as a multiple of its stored bytes; vectors after a ReLU shrink 3 to 5 times.
const TRUSTED_RATIO: usize = 16;
/// MATLAB's longest name has 63 bytes; a longer one is a broken length.
const LONGEST_NAME: usize = 4096;

const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;

/// Type and length of one element.
struct Tag {
    kind: u32,
    bytes: usize,
    /// The data itself, where it sits in the tag.
    small: Option<[u8; 4]>,
}

/// Flags, dimensions and name of a variable: all that comes before its numbers.
struct Header {
    class: u8,
    complex: bool,
    dimensions: Vec<i64>,
    name: String,
}

/// Reads `feats` (D, N) of an open file whose first bytes are `start`.
pub(super) fn read(mut file: File, path: &Path, start: &[u8]) -> Result<Matrix, DataError> {
    let source = Source {
        path,
        format: FORMAT,
    };
    let big_endian = byte_order(start, source)?;
    let length = file.metadata().map_err(DataError::io(path))?.len();
    let mut offset = HEADER;
    let mut others = Vec::new();
    while offset < length {
        file.seek(SeekFrom::Start(offset))
            .map_err(DataError::io(path))?;
        let mut buffered = BufReader::new(Read::by_ref(&mut file).take(length - offset));
        let mut stream = Stream::plain(&mut buffered, source, offset);
        let word = |b: [u8; 4]| u32_of(b, big_endian);
        let kind = word(stream.array("an element's type")?);
        let bytes = u64::from(word(stream.array("an element's length")?));
        let end = offset + 8 + bytes;
        if length < end {
            return Err(stream.malformed(
                format!("an element of {bytes} bytes"),
                format!("the end of the file at byte {length}"),
            ));
        }
        let found = match kind {
            MI_MATRIX => variable(&mut stream, big_endian, bytes, usize::MAX)?,
            MI_COMPRESSED => {
                let mut inflated = ZlibDecoder::new(buffered.take(bytes));
                let mut stream = Stream::inflated(&mut inflated, source, offset + 8);
                let kind = word(stream.array("a compressed element's type")?);
                if kind != MI_MATRIX {
                    return Err(stream.malformed("type 14, a matrix", format!("type {kind}")));
                }
                let inside = u64::from(word(stream.array("a compressed element's length")?));
                let trusted = usize::try_from(bytes).unwrap_or(usize::MAX);
                let trusted = trusted.saturating_mul(TRUSTED_RATIO);
                variable(&mut stream, big_endian, inside, trusted)?
            }
            _ => {
                return Err(source.malformed(
                    Position::Byte(offset),
                    "type 14, a matrix, or 15, compressed",
                    format!("type {kind}"),
                ));
            }
        };
        match found {
            Variable::Feats(matrix) => return Ok(matrix),
            Variable::Other(name) => others.push(name),
        }
        offset = end;
    }
    Err(super::no_feats(source, &others))
}

fn byte_order(start: &[u8], source: Source) -> Result<bool, DataError> {
    let at = Position::Byte(124);
    let Some(mark) = start.get(124..128) else {
        let found = format!("{} bytes", start.len());
        return Err(source.malformed(Position::Byte(0), "a header of 128 bytes", found));
    };
    match mark {
        [0x00, 0x01, b'I', b'M'] => Ok(false),
        [0x01, 0x00, b'M', b'I'] => Ok(true),
        _ => Err(source.malformed(
            at,
            "version 1 and the mark `IM` or `MI`",
            format!("{mark:?}"),
        )),
    }
}

enum Variable {
    Feats(Matrix),
    Other(String),
}

/// Reads one matrix element of `inside` bytes, whose tag was read; its numbers only if it is `feats`.
/// `trusted` bounds the f32 room that is made before anything is read, in bytes.
fn variable(
    stream: &mut Stream,
    big_endian: bool,
    inside: u64,
    trusted: usize,
) -> Result<Variable, DataError> {
    let Some(header) = header(stream, big_endian)? else {
        return Ok(Variable::Other("(an object)".into()));
    };
    if header.name != "feats" {
        return Ok(Variable::Other(header.name));
    }
    let wanted = "a real, full, numeric matrix `feats` (D, N)";
    if !(6..=15).contains(&header.class) {
        return Err(stream.unsupported(wanted, class_name(header.class)));
    }
    if header.complex {
        return Err(stream.unsupported(wanted, "a complex one"));
    }
    let (dimension, count) = super::two_dimensions(&header.dimensions)
        .ok_or_else(|| stream.unsupported(wanted, super::shape(&header.dimensions)))?;
    let tag = tag(stream, big_endian)?;
    let Some(number) = number(tag.kind) else {
        return Err(stream.malformed("numbers", format!("type {}", tag.kind)));
    };
    let numbers = dimension.checked_mul(count);
    if numbers.and_then(|n| n.checked_mul(number.size())) != Some(tag.bytes) {
        let expected = format!("{dimension} x {count} numbers of {} bytes", number.size());
        return Err(stream.malformed(expected, format!("{} bytes", tag.bytes)));
    }
    // A plain element lies within the file, so what it really holds may be trusted.
    if inside < tag.bytes as u64 {
        let expected = format!("numbers within their element of {inside} bytes");
        return Err(stream.malformed(expected, format!("{} bytes", tag.bytes)));
    }
    let numbers = tag.bytes / number.size();
    let rows = match tag.small {
        Some(data) => {
            let mut rows = Vec::new();
            number.append(&data[..tag.bytes], big_endian, &mut rows);
            rows
        }
        None => stream.numbers(number, big_endian, numbers, trusted / size_of::<f32>())?,
    };
    Ok(Variable::Feats(Matrix {
        dimension,
        regions: 1,
        storage: Storage::Owned(rows),
    }))
}

/// Flags, dimensions and name; `None` for an opaque object, which has neither dimensions nor numbers.
fn header(stream: &mut Stream, big_endian: bool) -> Result<Option<Header>, DataError> {
    let tag_of_flags = tag(stream, big_endian)?;
    if tag_of_flags.kind != 6 || tag_of_flags.bytes != 8 || tag_of_flags.small.is_some() {
        let found = format!("type {} of {} bytes", tag_of_flags.kind, tag_of_flags.bytes);
        return Err(stream.malformed("flags: type 6 of 8 bytes", found));
    }
    let flags = u32_of(stream.array("flags")?, big_endian);
    stream.skip(4, "flags")?;
    let class = (flags & 0xFF) as u8;
    if class == 17 {
        return Ok(None);
    }
    let sizes = small_data(stream, big_endian, 32 * 4, "dimensions")?;
    let size = |&b: &[u8; 4]| i64::from(u32_of(b, big_endian) as i32);
    let dimensions = sizes.as_chunks::<4>().0.iter().map(size).collect();
    let name = small_data(stream, big_endian, LONGEST_NAME, "a name")?;
    Ok(Some(Header {
        class,
        complex: flags & 0x0800 != 0,
        dimensions,
        name: String::from_utf8_lossy(&name).into_owned(),
    }))
}

/// The data of a short element with its padding.
fn small_data(
    stream: &mut Stream,
    big_endian: bool,
    longest: usize,
    what: &str,
) -> Result<Vec<u8>, DataError> {
    let tag = tag(stream, big_endian)?;
    if let Some(data) = tag.small {
        return Ok(data[..tag.bytes].to_vec());
    }
    if longest < tag.bytes {
        let expected = format!("{what} of at most {longest} bytes");
        return Err(stream.malformed(expected, format!("{} bytes", tag.bytes)));
    }
    let mut data = vec![0; tag.bytes];
    stream.read(&mut data, what)?;
    stream.skip(tag.bytes.next_multiple_of(8) - tag.bytes, what)?;
    Ok(data)
}

/// The next tag, in its long form or with the data inside.
fn tag(stream: &mut Stream, big_endian: bool) -> Result<Tag, DataError> {
    let first = u32_of(stream.array("a tag")?, big_endian);
    let second: [u8; 4] = stream.array("a tag")?;
    let (kind, bytes) = (first & 0xFFFF, (first >> 16) as usize);
    if bytes == 0 {
        let bytes = u32_of(second, big_endian) as usize;
        return Ok(Tag {
            kind,
            bytes,
            small: None,
        });
    }
    if 4 < bytes {
        return Err(stream.malformed("at most 4 bytes inside a tag", format!("{bytes}")));
    }
    Ok(Tag {
        kind,
        bytes,
        small: Some(second),
    })
}

fn u32_of(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// Storage type of an element of numbers (table 1-1 of the format).
fn number(kind: u32) -> Option<Number> {
    Some(match kind {
        1 => Number::I8,
        2 => Number::U8,
        3 => Number::I16,
        4 => Number::U16,
        5 => Number::I32,
        6 => Number::U32,
        7 => Number::F32,
        9 => Number::F64,
        12 => Number::I64,
        13 => Number::U64,
        _ => return None,
    })
}

/// Array classes that hold no plain numbers (table 1-3 of the format).
fn class_name(class: u8) -> String {
    match class {
        1 => "a cell array".into(),
        2 => "a struct".into(),
        3 => "an object".into(),
        4 => "text".into(),
        5 => "a sparse matrix".into(),
        16 => "a function".into(),
        _ => format!("an array of class {class}"),
    }
}
