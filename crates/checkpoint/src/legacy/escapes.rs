//! Text arguments of protocol 0: quoted byte strings, raw-unicode-escape, numbers.
//!
//! Here: decoding one line. Not here: finding its end (`machine.rs`).
//!
//! Source: CPython 2.7 `PyString_DecodeEscape` and `PyUnicode_DecodeRawUnicodeEscape`.

use std::borrow::Cow;

use super::pickle::Node;

/// The byte string that Python's `repr` wrote: `'...'` or `"..."` with backslash escapes.
pub(super) fn quoted_bytes(line: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let line = line.trim_ascii();
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err("a string needs quotes around it".into()),
    };
    if !inner.contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\\' {
            rest = escape(after, &mut out)?;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Ok(Cow::Owned(out))
}

/// Decodes one escape, of which the backslash is gone; returns what follows it.
fn escape<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], String> {
    let Some((&letter, after)) = rest.split_first() else {
        return Err("a backslash at the end of a string".into());
    };
    let byte = match letter {
        b'\\' | b'\'' | b'"' => letter,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'x' => {
            let digits = after.get(..2).and_then(|digits| number(digits, 16));
            out.push(digits.ok_or("\\x needs two hexadecimal digits")? as u8);
            return Ok(&after[2..]);
        }
        b'0'..=b'7' => {
            let octal = |byte: &&u8| (b'0'..=b'7').contains(*byte);
            let length = rest.iter().take(3).take_while(octal).count();
            let value = number(&rest[..length], 8).expect("octal digits");
            out.push(value as u8); // Python keeps the low byte of \777 as well
            return Ok(&rest[length..]);
        }
        other => {
            out.extend([b'\\', other]);
            return Ok(after);
        }
    };
    out.push(byte);
    Ok(after)
}

/// The text of a UNICODE line: Latin-1, with `\uXXXX` and `\UXXXXXXXX` where the run of
/// backslashes before the `u` is odd. Python 2 writes what is beyond U+FFFF as two surrogates.
pub(super) fn raw_unicode(line: &[u8]) -> Result<Cow<'_, str>, String> {
    if line.is_ascii() && !line.contains(&b'\\') {
        return Ok(Cow::Borrowed(std::str::from_utf8(line).expect("ASCII")));
    }
    let mut out = String::with_capacity(line.len());
    let mut high: Option<u32> = None; // first half of a surrogate pair
    let mut odd = false; // an odd run of backslashes ends here
    let mut rest = line;
    while let Some((&byte, mut after)) = rest.split_first() {
        let mut code = u32::from(byte);
        let mut escaped = false;
        if odd && (byte == b'u' || byte == b'U') {
            let digits = if byte == b'u' { 4 } else { 8 };
            code = after
                .get(..digits)
                .and_then(|digits| number(digits, 16))
                .ok_or_else(|| format!("\\{} needs {digits} hexadecimal digits", byte as char))?;
            after = &after[digits..];
            out.pop(); // the backslash
            escaped = true;
        }
        odd = byte == b'\\' && !odd;
        rest = after;
        match (high.take(), code) {
            (Some(first), 0xdc00..=0xdfff) if escaped => {
                code = 0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00);
            }
            // The backslash of an escape that may be the second half.
            (Some(first), 0x5c) => {
                high = Some(first);
                out.push('\\');
                continue;
            }
            (Some(first), _) => return Err(lone_surrogate(first)),
            (None, 0xd800..=0xdbff) => {
                high = Some(code);
                continue;
            }
            (None, _) => {}
        }
        out.push(char::from_u32(code).ok_or_else(|| lone_surrogate(code))?);
    }
    match high {
        Some(first) => Err(lone_surrogate(first)),
        None => Ok(Cow::Owned(out)),
    }
}

fn lone_surrogate(code: u32) -> String {
    format!("U+{code:04X} is no character")
}

/// Unsigned number of plain digits (no sign, no blanks).
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// An INT or LONG line: `00` and `01` are booleans for INT; LONG may end in `L`.
pub(super) fn integer(line: &[u8], long: bool) -> Result<Node<'_>, String> {
    let text = ascii(line)?;
    match (long, text) {
        (false, "00") => return Ok(Node::Bool(false)),
        (false, "01") => return Ok(Node::Bool(true)),
        _ => {}
    }
    let text = text.strip_suffix('L').unwrap_or(text);
    if let Ok(small) = text.parse() {
        return Ok(Node::Int(small));
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!("`{}` is no integer", shorten(text)));
    }
    Ok(Node::LongDigits(text))
}

/// A FLOAT line.
pub(super) fn float(line: &[u8]) -> Result<f64, String> {
    let text = ascii(line)?;
    text.parse()
        .map_err(|_| format!("`{}` is no number", shorten(text)))
}

/// A PUT or GET line.
pub(super) fn memo_key(line: &[u8]) -> Result<u64, String> {
    let text = ascii(line)?;
    text.parse()
        .map_err(|_| format!("`{}` is no memo number", shorten(text)))
}

fn ascii(line: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(line.trim_ascii()).map_err(|error| error.to_string())?;
    Ok(text)
}

/// The start of a text from a stranger, for a message of one line.
pub(super) fn shorten(text: &str) -> String {
    text.chars()
        .take(60)
        .flat_map(char::escape_default)
        .collect()
}
