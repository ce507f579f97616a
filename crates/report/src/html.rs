//! `result.html`: every picture with its caption below, in one long line.
//!
//! Byte for byte what NeuralTalk's `predict_on_images.py` writes, but for `&`, `<`, `>` and `"` in
//! file names and words: they are escaped here, so that no name can add an element. Not here: a
//! page that is pleasant to look at.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::write_file;
use crate::{ReportError, ResultStruct};

/// The page as text, UTF-8.
pub fn render_html(result: &ResultStruct) -> String {
    let mut html = String::new();
    for blob in &result.imgblobs {
        let path = escape(&blob.img_path);
        let text = escape(&blob.candidate.text);
        let log_prob = blob.candidate.logprob;
        write!(
            html,
            "<img src=\"{path}\" height=\"400\"><br>({log_prob:.6}) {text} <br><br>"
        )
        .expect("writing to a string cannot fail");
    }
    html
}

/// Writes the page in one piece.
///
/// # Errors
/// What the operating system refused.
pub fn write_html(path: &Path, result: &ResultStruct) -> Result<(), ReportError> {
    let html = render_html(result);
    write_file(path, |out| out.write_all(html.as_bytes()))
}

/// Escapes what ends a text or a double-quoted attribute. The apostrophe does neither, and is in
/// words such as `doesn't`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
