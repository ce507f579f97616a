//! METEOR's normaliser: one caption to lowercase words.
//!
//! Here: the rules of `-norm` for English, in METEOR's order: other characters apart, dots, commas, quotes,
//! dashes, contractions, abbreviations, blanks, lowercase. Not here: the PTB tokenizer, which runs before it.
//!
//! Denkowski & Lavie 2014, section 2; the rules were read from what METEOR 1.5 does, rule by rule. They replace
//! from left to right without overlap, so that `a-b-c` becomes `a b-c`: that is METEOR's answer too.

use hashbrown::HashMap;

/// What a dot after a word means, from METEOR's `english.prefixes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// The dot belongs to the word: `Mr.`
    Always,
    /// Only before a number: `No. 7`
    BeforeNumber,
}

/// Abbreviations whose dot doesn't end a sentence.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes(HashMap<Box<str>, Prefix>);

impl Prefixes {
    /// Reads `english.prefixes`: one abbreviation a line, `#` starts a comment.
    pub(super) fn parse(text: &str) -> Self {
        let mut prefixes = HashMap::new();
        for line in text.lines() {
            let mut words = words(line);
            let Some(word) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let kind = match words.next() {
                Some("#NUMERIC_ONLY#") => Prefix::BeforeNumber,
                _ => Prefix::Always,
            };
            prefixes.insert(word.into(), kind);
        }
        Self(prefixes)
    }
}

/// The words of a normalised line: METEOR splits at blanks, tabs, line ends and form feeds only.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t', '\n', '\r', '\x0c'])
        .filter(|word| !word.is_empty())
}

/// Calls `word` with each word of a caption, normalised and in lower case.
///
/// Line ends count as blanks: METEOR's own protocol can't carry them.
pub(super) fn for_each_word(caption: &str, prefixes: &Prefixes, mut word: impl FnMut(&str)) {
    if is_plain(caption) {
        // Most captions: no rule below has anything to do.
        caption
            .split(' ')
            .filter(|part| !part.is_empty())
            .for_each(word);
    } else {
        words(&normalize(caption, prefixes)).for_each(&mut word);
    }
}

/// Whether a caption consists of lower-case ASCII letters, digits and blanks.
fn is_plain(caption: &str) -> bool {
    caption
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b' ')
}

/// The whole normaliser.
fn normalize(caption: &str, prefixes: &Prefixes) -> String {
    let caption = caption.replace(['\n', '\r'], " ");
    let mut line = set_apart(trim(&caption));
    line = protect_dots(&line);
    for (left, right) in [(false, false), (true, false), (false, true)] {
        line = between(
            &line,
            |c| c.is_ascii_digit() == left,
            ',',
            |c| c.is_ascii_digit() == right,
            " , ",
        );
    }
    line = line.replace(['`', '‘', '’'], "'");
    line = line.replace(['“', '”'], " \" ").replace("''", " \" ");
    line = line.replace('–', "-").replace("--", "-");
    line = between(
        &line,
        |c| is_alphanumeric(c) || c == '.',
        '-',
        is_alphanumeric,
        " ",
    );
    line = split_contractions(&line);
    line = split_final_dots(&line, prefixes);
    line = restore_dots(&line);
    trim(&line.replace(is_blank, " ")).to_lowercase()
}

/// METEOR's letters: Latin with the accents of western and central Europe, Cyrillic, phonetic extensions.
fn is_alphabetic(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | 'Ÿ' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž' | '\u{400}'..='\u{527}'
        | '\u{a640}'..='\u{a66e}' | '\u{a67e}'..='\u{a697}' | '\u{1d00}'..='\u{1d7f}')
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_digit() || is_alphabetic(c)
}

/// The blanks that become U+0020 at the end.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{a0}'
    )
}

/// Without the control characters and blanks (up to U+0020) at both ends.
fn trim(line: &str) -> &str {
    line.trim_matches(|c| c <= ' ')
}

/// Blanks around the line and around every character that has no rule of its own.
fn set_apart(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    out.push(' ');
    for c in line.chars() {
        let own_rule = matches!(
            c,
            ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r' | '.' | '\'' | '`' | ',' | '-' | '‘' | '’'
        );
        if own_rule || is_alphanumeric(c) {
            out.push(c);
        } else {
            out.extend([' ', c, ' ']);
        }
    }
    out.push(' ');
    out
}

/// Two or more dots become one word, `DOT…DOTMULTI` with a `DOT` for each, until [`restore_dots`].
fn protect_dots(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let literal = line.contains("DOTMULTI");
    while let Some(at) = rest.find("..") {
        let run = rest[at..].bytes().take_while(|&byte| byte == b'.').count();
        out.push_str(&rest[..at]);
        if literal {
            out.push_str(" DOTMULTI");
            out.extend(std::iter::repeat_n('.', run - 1));
        } else {
            out.push(' ');
            out.extend(std::iter::repeat_n("DOT", run));
            out.push_str("MULTI ");
        }
        rest = &rest[at + run..];
    }
    out.push_str(rest);
    if literal {
        protect_literal_dots(out)
    } else {
        out
    }
}

/// The same for a caption that has the word DOTMULTI itself: METEOR takes one dot a round.
fn protect_literal_dots(mut line: String) -> String {
    const MARK: &str = "DOTMULTI.";
    while line.contains(MARK) {
        let mut out = String::with_capacity(line.len() + 16);
        let mut rest = line.as_str();
        while let Some(at) = rest.find(MARK) {
            let after = at + MARK.len();
            match rest[after..].chars().next().filter(|&next| next != '.') {
                // The character behind is taken along, so that a mark that it starts waits for its turn.
                Some(next) => {
                    out.push_str(&rest[..at]);
                    out.push_str("DOTDOTMULTI ");
                    out.push(next);
                    rest = &rest[after + next.len_utf8()..];
                }
                None => {
                    out.push_str(&rest[..after]);
                    rest = &rest[after..];
                }
            }
        }
        out.push_str(rest);
        line = out.replace(MARK, "DOTDOTMULTI");
    }
    line
}

/// `DOT…DOTMULTI` back to as many dots.
fn restore_dots(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut pieces = line.split("MULTI");
    let mut piece = pieces.next().unwrap_or_default();
    for next in pieces {
        let letters = piece.trim_end_matches("DOT");
        let dots = (piece.len() - letters.len()) / "DOT".len();
        out.push_str(letters);
        match dots {
            0 => out.push_str("MULTI"),
            dots => out.extend(std::iter::repeat_n('.', dots)),
        }
        piece = next;
    }
    out.push_str(piece);
    out
}

/// Replaces `middle` by `by` where its neighbours fit; both are taken, so a neighbour serves once.
fn between(
    line: &str,
    left: impl Fn(char) -> bool,
    middle: char,
    right: impl Fn(char) -> bool,
    by: &str,
) -> String {
    if !line.contains(middle) {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len() + 16);
    let mut chars = line.chars();
    while let Some(a) = chars.next() {
        out.push(a);
        let mut ahead = chars.clone();
        if left(a)
            && ahead.next() == Some(middle)
            && let Some(b) = ahead.next().filter(|&b| right(b))
        {
            out.push_str(by);
            out.push(b);
            chars = ahead;
        }
    }
    out
}

/// `dog's` becomes `dog 's`; an apostrophe that joins no letters stands alone.
fn split_contractions(line: &str) -> String {
    let other = |c| !is_alphabetic(c);
    let mut line = between(line, other, '\'', other, " ' ");
    line = between(&line, |c| !is_alphanumeric(c), '\'', is_alphabetic, " ' ");
    line = between(&line, is_alphabetic, '\'', other, " ' ");
    line = between(&line, is_alphabetic, '\'', is_alphabetic, " '");
    between(&line, |c| c.is_ascii_digit(), '\'', |c| c == 's', " '")
}

/// Splits a dot from the end of a word unless it belongs there; `U.S.` loses its dots.
fn split_final_dots(line: &str, prefixes: &Prefixes) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    let mut words = words(line).peekable();
    while let Some(word) = words.next() {
        match word.strip_suffix('.').filter(|stem| !stem.is_empty()) {
            None => out.push_str(word),
            Some(stem) if stem.contains('.') && stem.contains(is_alphabetic) => {
                out.extend(word.split('.'));
            }
            Some(stem) => {
                let next = words.peek().and_then(|next| next.bytes().next());
                let keeps = match prefixes.0.get(stem) {
                    Some(Prefix::Always) => true,
                    kind => next.is_some_and(|next| {
                        next.is_ascii_lowercase()
                            || (kind == Some(&Prefix::BeforeNumber) && next.is_ascii_digit())
                    }),
                };
                out.push_str(if keeps { word } else { stem });
                out.push_str(if keeps { "" } else { " ." });
            }
        }
        out.push(' ');
    }
    out
}
