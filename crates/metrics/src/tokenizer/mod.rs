//! The Penn Treebank tokenizer as coco-caption calls it, without Java.
//!
//! Here: captions to tokens. Not here: the rules (`rules.rs`), matching (`scanner.rs`), spelling (`write.rs`).
//!
//! coco-caption runs Stanford CoreNLP 3.4.1's `PTBTokenizer -preserveLines -lowerCase` and drops a list of
//! punctuation. British spellings stay (that program's `americanize` is off), `-lrb-` stays (the list has it in
//! capitals), and characters that the program doesn't know, such as emoji, vanish.
//!
//! Not reproduced: a line end inside a caption other than `\n` (vertical tab, U+2028 ...) moves all later captions of coco-caption by one
//! line; here it separates tokens and nothing else.

mod rules;
mod scanner;
mod write;

use crate::corpus::is_python_space;
use scanner::Scanner;
use write::Write;

/// Tokens that coco-caption leaves out, compared after lower-casing.
const PUNCTUATION: [&str; 17] =
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// Makes tokens of captions. Holds a warm automaton: use one for many captions, one for each thread.
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
        Self { scanner: Scanner::new(), token: String::new() }
    }

    /// Penn Treebank tokens in their own case, punctuation included; a line end is `"\n"`.
    pub fn tokenize(&mut self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.each(text, |token| tokens.push(token.to_owned()));
        tokens
    }

    /// The caption as coco-caption's scorers see it: lower-case tokens without punctuation, joined by blanks.
    pub fn caption(&mut self, caption: &str) -> String {
        let mut line = String::with_capacity(caption.len());
        self.caption_into(caption, &mut line);
        line
    }

    /// As [`Tokenizer::caption`], appended to `line`.
    pub fn caption_into(&mut self, caption: &str, line: &mut String) {
        let start = line.len();
        self.each(caption, |token| {
            if token == "\n" {
                return;
            }
            let before = line.len();
            if before > start {
                line.push(' ');
            }
            let word = line.len();
            push_lower(token, line);
            if PUNCTUATION.contains(&&line[word..]) {
                line.truncate(before);
            }
        });
        let trimmed = line[start..].trim_end_matches(is_python_space).len();
        line.truncate(start + trimmed);
    }

    fn each(&mut self, text: &str, mut token: impl FnMut(&str)) {
        let mut position = 0;
        while let Some(found) = self.scanner.next(text, &mut position) {
            if found.write == Write::Skip {
                continue;
            }
            self.token.clear();
            write::write(found.text, found.write, &mut self.token);
            token(&self.token);
        }
    }
}

/// Lower case as Java's `toLowerCase`, which agrees with Unicode's full mapping.
fn push_lower(token: &str, line: &mut String) {
    if token.is_ascii() {
        line.extend(token.bytes().map(|b| char::from(b.to_ascii_lowercase())));
    } else {
        line.push_str(&token.to_lowercase());
    }
}
