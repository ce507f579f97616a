//! The Penn Treebank tokenizer as coco-caption calls it, without Java.
//!
//! Here: captions to tokens. Not here: the rules (`rules.rs`), matching (`scanner.rs`), spelling (`write.rs`).
//!
//! coco-caption runs Stanford CoreNLP 3.4.1's `PTBTokenizer -preserveLines -lowerCase` and drops a list of
//! punctuation. British spellings stay (that program's `americanize` is off), `-lrb-` stays (the list has it in
//! capitals), and characters that the program doesn't know, such as emoji, vanish.
//!
//! That program reads all captions as lines of one file and looks beyond a line's end: `plan B.` is `b` before a
//! caption that begins with `The`, else `b.`. [`captions`] does the same; [`Tokenizer::caption`] reads one caption, as
//! if an empty line followed.
//!
//! Not reproduced: a line end inside a caption other than `\n` (carriage return, U+2028 ...) moves all later captions of
//! coco-caption by one line, as does a tag with a quoted line end; here they end where they are.

mod definitions;
mod rules;
mod scanner;
mod write;

use std::ops::Range;

use rayon::prelude::*;
use regex_automata::util::pool::Pool;

use crate::corpus::is_python_space;
use scanner::{Scanner, simple};
use write::Write;

/// Tokens that coco-caption leaves out, compared after lower-casing.
const PUNCTUATION: [&str; 17] = [
    "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--",
    "...", ";",
];

/// Makes tokens of captions. Holds a warm automaton: use one for many captions.
pub struct Tokenizer {
    scanner: Scanner,
    token: String,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokenizer {
    /// Ready in milliseconds; the first captions warm it up.
    pub fn new() -> Self {
        Self {
            scanner: Scanner::new(),
            token: String::new(),
        }
    }

    /// Penn Treebank tokens in their own case, punctuation included; a line end is `"\n"`.
    pub fn tokenize(&mut self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.each(text, 0..text.len(), |token| tokens.push(token.to_owned()));
        tokens
    }

    /// The caption as coco-caption's scorers see it: lower-case tokens without punctuation, joined by blanks.
    pub fn caption(&mut self, caption: &str) -> String {
        let mut text = String::with_capacity(caption.len() + 2);
        push_line(caption, &mut text);
        text.push_str("\n\n");
        let mut line = String::with_capacity(caption.len());
        self.line(&text, 0..caption.len(), &mut line);
        line
    }

    /// As [`Tokenizer::caption`], of a part of a text that is looked at beyond the part's end.
    fn line(&mut self, text: &str, part: Range<usize>, line: &mut String) {
        line.clear();
        let mut position = part.start;
        while position < part.end {
            if text.as_bytes()[position] == b' ' {
                position += 1;
                continue;
            }
            if let Some(token) = simple(text, position) {
                position += token.len();
                // The others are punctuation.
                if token.as_bytes()[0].is_ascii_alphabetic() {
                    push_blank(line);
                    push_lower(token, line);
                }
                continue;
            }
            let Some(found) = self.scanner.next(text, part.end, &mut position) else {
                break;
            };
            self.token.clear();
            write::write(found.text, found.write, &mut self.token);
            if !matches!(found.write, Write::Skip | Write::Line) {
                let before = line.len();
                push_blank(line);
                let word = line.len();
                push_lower(&self.token, line);
                if PUNCTUATION.contains(&&line[word..]) {
                    line.truncate(before);
                }
            }
        }
        line.truncate(line.trim_end_matches(is_python_space).len());
    }

    fn each(&mut self, text: &str, part: Range<usize>, mut token: impl FnMut(&str)) {
        let mut position = part.start;
        while let Some(found) = self.scanner.next(text, part.end, &mut position) {
            if found.write == Write::Skip {
                continue;
            }
            self.token.clear();
            write::write(found.text, found.write, &mut self.token);
            token(&self.token);
        }
    }
}

/// Captions that are joined to one text at once, to bound memory.
const BLOCK: usize = 1 << 14;

/// How many following captions a block looks at.
const AHEAD: usize = 8;

/// Captions that one task reads.
const TASK: usize = 256;

/// Captions as coco-caption's scorers see them when they are the lines of one file, made in parallel.
pub fn captions<S: AsRef<str>>(captions: &[S]) -> Vec<String> {
    let mut lines = Vec::with_capacity(captions.len());
    for task in each_task(captions, Vec::new, |lines, line| {
        lines.push(line.to_owned())
    }) {
        lines.extend(task);
    }
    lines
}

/// As [`captions`], what `add` makes of the lines of each task; tasks are cut by the captions' number alone.
pub(crate) fn each_task<S: AsRef<str>, T: Send>(
    captions: &[S],
    new: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, &str) + Sync,
) -> Vec<T> {
    // A pool, not one for each task: a new tokenizer is cold.
    let tokenizers = Pool::new(Tokenizer::new);
    let mut tasks = Vec::with_capacity(captions.len().div_ceil(TASK));
    for start in (0..captions.len()).step_by(BLOCK) {
        let block = captions[start..].iter().take(BLOCK + AHEAD);
        let (mut text, mut parts) = (String::new(), Vec::new());
        for caption in block {
            if !parts.is_empty() {
                text.push('\n');
            }
            let begin = text.len();
            push_line(caption.as_ref(), &mut text);
            parts.push(begin..text.len());
        }
        parts.truncate(BLOCK);
        let task = |parts: &[Range<usize>]| {
            let (mut tokenizer, mut line) = (tokenizers.get(), String::new());
            let mut made = new();
            for part in parts {
                tokenizer.line(&text, part.clone(), &mut line);
                add(&mut made, &line);
            }
            made
        };
        tasks.par_extend(parts.par_chunks(TASK).map(task));
    }
    tasks
}

fn push_blank(line: &mut String) {
    if !line.is_empty() {
        line.push(' ');
    }
}

/// As coco-caption writes a caption to its file.
fn push_line(caption: &str, text: &mut String) {
    for (i, part) in caption.split('\n').enumerate() {
        text.push_str(if i == 0 { "" } else { " " });
        text.push_str(part);
    }
}

/// Lower case as Java's `toLowerCase`, which agrees with Unicode's full mapping.
fn push_lower(token: &str, line: &mut String) {
    if token.is_ascii() {
        let start = line.len();
        line.push_str(token);
        line[start..].make_ascii_lowercase();
    } else {
        line.push_str(&token.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens of a line by the automaton alone, which is what coco-caption's lexer is compared with.
    fn by_the_automaton(text: &str, part: Range<usize>) -> String {
        let (mut tokenizer, mut tokens) = (Tokenizer::new(), Vec::new());
        tokenizer.each(text, part, |token| {
            let token = token.to_lowercase();
            if token != "\n" && !PUNCTUATION.contains(&token.as_str()) {
                tokens.push(token);
            }
        });
        tokens
            .join(" ")
            .trim_end_matches(is_python_space)
            .to_owned()
    }

    proptest! {
        #[test]
        fn shortcuts_give_the_automatons_tokens(
            pieces in prop::collection::vec("[a-zA-Z]{1,9}|(?i:cannot|gonna|gotta|gimme|lemme|wanna|mr|jan|st|co|no|www|http)|[-'.,!?:;<>&$()\\[\\]\"/0-9@^_#=+*~]{1,3}|[\u{a0}\u{ad}\u{85}\u{e9}\u{2019}\t\r]", 0..14),
            blanks in prop::collection::vec(" {0,2}|\n", 14),
        ) {
            let text: String = pieces.iter().zip(&blanks).flat_map(|(p, b)| [p.as_str(), b.as_str()]).collect();
            let mut line = String::new();
            let mut start = 0;
            for part in text.split('\n') {
                let part = start..start + part.len();
                Tokenizer::new().line(&text, part.clone(), &mut line);
                prop_assert_eq!(&line, &by_the_automaton(&text, part.clone()), "{:?}", text);
                start = part.end + 1;
            }
        }
    }
}
