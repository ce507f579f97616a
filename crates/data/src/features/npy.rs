//! NumPy's `.npy`: one matrix (N, D), one row per picture, or (N, R, D), R regions a picture.
//!
//! A magic, a version, the length of the header, and the header: a Python dict with `descr` (byte order and type),
//! `fortran_order` and `shape`. The numbers follow. Little-endian f4 in C order is memory-mapped; the rest is converted.
//!
//! Memory: twice the file's size at most (f2 that becomes f32).
//! Source: `numpy/lib/format.py`, versions 1.0 to 3.0.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::mapped::Mapped;
use super::number::Number;
use super::stream::Stream;
use super::{Matrix, Storage};
use crate::error::{DataError, Position, Source};

/// The first bytes of the file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// A header of three entries has about 70 bytes, numpy pads to 128; numpy itself refuses more than 10,000.
const LONGEST_HEADER: usize = 10_000;

/// What the dict says.
#[derive(Debug, PartialEq)]
struct Header {
    /// Type and byte order, or the description of a type that is no float.
    number: Result<(Number, bool), String>,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// Reads the matrix of an open file.
pub(super) fn read(mut file: File, path: &Path) -> Result<Matrix, DataError> {
    let source = Source {
        path,
        format: "npy",
    };
    let length = file.metadata().map_err(DataError::io(path))?.len();
    file.seek(SeekFrom::Start(0)).map_err(DataError::io(path))?;
    let mut buffered = BufReader::new(Read::by_ref(&mut file));
    let mut stream = Stream::plain(&mut buffered, source, 0);
    let (text, offset) = header_text(&mut stream)?;
    let header = parse(&text).map_err(|(expected, found)| {
        source.malformed(Position::Part("header".into()), expected, found)
    })?;
    let (number, big_endian) = header.number.map_err(|found| {
        stream.unsupported(
            "numbers of a float type: f2, f4 or f8",
            format!("type {found}"),
        )
    })?;
    let (count, regions, dimension) = match header.shape[..] {
        [count, dimension] => (count, 1, dimension),
        [count, regions, dimension] if !header.fortran_order => (count, regions, dimension),
        _ => {
            let sizes: Vec<i64> = header.shape.iter().map(|&n| n as i64).collect();
            let expected = "a matrix (N, D), or regions (N, R, D) in C order";
            return Err(stream.unsupported(expected, super::shape(&sizes)));
        }
    };
    let numbers = count
        .checked_mul(regions)
        .and_then(|n| n.checked_mul(dimension));
    let bytes = numbers.and_then(|n| n.checked_mul(number.size() as u64));
    let available = length - offset.min(length);
    let (Some(numbers), true) = (numbers, bytes.is_some_and(|bytes| bytes <= available)) else {
        let sizes = match regions {
            1 => format!("{count} x {dimension}"),
            _ => format!("{count} x {regions} x {dimension}"),
        };
        let expected = format!("{sizes} numbers of {} bytes", number.size());
        return Err(stream.malformed(expected, format!("{available} bytes")));
    };
    // They fit: the file is as long, or there are none and no row is ever read.
    let (numbers, dimension) = (numbers as usize, dimension as usize);
    let regions = regions as usize;
    let plain = number == Number::F32 && !big_endian && !header.fortran_order;
    if plain
        && 0 < numbers
        && let Ok(rows) = Mapped::open(path)?.rows(offset, numbers)
    {
        return Ok(Matrix {
            dimension,
            regions,
            storage: Storage::Mapped(rows),
        });
    }
    let rows = stream.numbers(number, big_endian, numbers, numbers)?;
    let rows = if header.fortran_order {
        transpose(&rows, dimension)
    } else {
        rows
    };
    Ok(Matrix {
        dimension,
        regions,
        storage: Storage::Owned(rows),
    })
}

/// The dict's text and the offset of the first number.
fn header_text(stream: &mut Stream) -> Result<(String, u64), DataError> {
    let magic: [u8; 6] = stream.array("the magic")?;
    if magic != MAGIC {
        return Err(stream.malformed("the magic \\x93NUMPY", format!("{magic:?}")));
    }
    let [major, minor] = stream.array("the version")?;
    let (length, before) = match major {
        1 => (u16::from_le_bytes(stream.array("a length")?) as usize, 10),
        2 | 3 => (u32::from_le_bytes(stream.array("a length")?) as usize, 12),
        _ => return Err(stream.malformed("version 1, 2 or 3", format!("{major}.{minor}"))),
    };
    if LONGEST_HEADER < length {
        let expected = format!("a header of at most {LONGEST_HEADER} bytes");
        return Err(stream.malformed(expected, format!("{length}")));
    }
    let mut text = vec![0; length];
    stream.read(&mut text, "the header")?;
    Ok((
        String::from_utf8_lossy(&text).into_owned(),
        before + length as u64,
    ))
}

/// Parses the dict, as numpy writes it; the error is (expected, found).
fn parse(text: &str) -> Result<Header, (String, String)> {
    let value = |key: &str| {
        let at = text.find(&format!("'{key}'"));
        let rest = at.map(|at| text[at + key.len() + 2..].trim_start());
        rest.and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim_start)
            .ok_or_else(|| (format!("the key '{key}'"), text.trim().to_owned()))
    };
    let descr = value("descr")?;
    let descr = descr.strip_prefix('\'').and_then(|d| d.split('\'').next());
    let number = descr
        .and_then(kind)
        .ok_or_else(|| descr.unwrap_or("of structures").to_owned());
    let order = value("fortran_order")?;
    let fortran_order = match (order.starts_with("True"), order.starts_with("False")) {
        (true, _) => true,
        (_, true) => false,
        _ => return Err(("True or False".into(), order.to_owned())),
    };
    let shape = value("shape")?;
    let inside = shape
        .strip_prefix('(')
        .and_then(|shape| shape.split_once(')'));
    let bad = || ("a shape in parentheses".to_owned(), shape.to_owned());
    let (inside, _) = inside.ok_or_else(bad)?;
    let sizes = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    // Python 2 wrote long integers as `8L`.
    let sizes = sizes.map(|size| size.trim_end_matches('L').parse::<u64>());
    Ok(Header {
        number,
        fortran_order,
        shape: sizes.collect::<Result<_, _>>().map_err(|_| bad())?,
    })
}

/// `<f4` and its like: type and whether it is big endian.
fn kind(descr: &str) -> Option<(Number, bool)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let big_endian = match order {
        "<" => false,
        ">" => true,
        "=" | "|" => cfg!(target_endian = "big"),
        _ => return None,
    };
    match kind {
        "f2" => Some((Number::F16, big_endian)),
        "f4" => Some((Number::F32, big_endian)),
        "f8" => Some((Number::F64, big_endian)),
        _ => None,
    }
}

/// (D, N) row after row, which is (N, D) column after column → (N, D) row after row.
fn transpose(columns: &[f32], dimension: usize) -> Vec<f32> {
    let count = columns.len().checked_div(dimension).unwrap_or(0);
    let mut rows = Vec::with_capacity(columns.len());
    for row in 0..count {
        rows.extend((0..dimension).map(|column| columns[column * count + row]));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 1280), }    \n";
        let want = Header {
            number: Ok((Number::F32, false)),
            fortran_order: false,
            shape: vec![8, 1280],
        };
        assert_eq!(parse(text), Ok(want));
        let text = "{'shape': (3L,), 'fortran_order': True, 'descr': '>f8'}";
        let header = parse(text).expect("any order of keys, Python 2's long integers");
        assert_eq!(header.number, Ok((Number::F64, true)));
        assert_eq!((header.fortran_order, header.shape), (true, vec![3]));
    }

    #[test]
    fn other_headers_are_refused_with_what_was_found() {
        let cases = [
            ("{}", "the key 'descr'", "{}"),
            (
                "{'descr': '<f4', 'fortran_order': 1}",
                "True or False",
                "1}",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
                "a shape in parentheses",
                "(-1, 2)}",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': 7}",
                "a shape in parentheses",
                "7}",
            ),
        ];
        for (text, expected, found) in cases {
            assert_eq!(parse(text), Err((expected.into(), found.into())), "{text}");
        }
    }

    #[test]
    fn other_types_are_kept_for_the_message() {
        let header = |descr| {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1, 1)}}");
            parse(&text).expect("a valid header").number
        };
        assert_eq!(header("'|O'"), Err("|O".into()));
        assert_eq!(header("'<i8'"), Err("<i8".into()));
        assert_eq!(header("[('a', '<f4')]"), Err("of structures".into()));
    }

    #[test]
    fn columns_become_rows() {
        // (3, 2): [[1, 2], [3, 4], [5, 6]]
        assert_eq!(
            transpose(&[1.0, 3.0, 5.0, 2.0, 4.0, 6.0], 2),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
    }
}
