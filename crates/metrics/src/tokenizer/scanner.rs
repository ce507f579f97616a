//! Longest match over the table of rules, as a lexer does it.
//!
//! Here: the rules made into one automaton, the longest match at a position (the earliest rule wins a tie), and
//! how much of it is the token. Not here: the rules (`rules.rs`), what is written for a token (`write.rs`).
//!
//! The automaton is determinised lazily while it runs, so that start-up costs milliseconds. One pass over a
//! token's bytes; a rule that looks ahead (`<!…>`) can read to the end of the text before it gives up.

use std::sync::LazyLock;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, MatchKind};

use super::definitions::DEFINITIONS;
use super::rules::RULES;
use super::write::Write;

/// Bytes that one scanner's determinised states may take before they are thrown away and made again.
const CACHE_BYTES: usize = 32 << 20;

/// How much of a match is the token; the rest was lookahead and is scanned again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The whole match.
    Whole,
    /// All but this many characters; a line end counts once.
    Last(usize),
    /// All before a contracted auxiliary: `it` of `it's`.
    Auxiliary,
    /// All before a contracted `not`: `ca` of `can't`.
    Not,
    /// Up to and with the abbreviation's full stop.
    Stop,
    /// As `Stop`, and the full stop is scanned again, to end the sentence.
    StopTwice,
}

/// One token in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    pub(super) write: Write,
}

/// Holds the states that were determinised so far.
pub(super) struct Scanner {
    dfa: &'static DFA,
    cache: Cache,
}

impl Scanner {
    pub(super) fn new() -> Self {
        static AUTOMATON: LazyLock<DFA> = LazyLock::new(automaton);
        Self {
            dfa: &AUTOMATON,
            cache: AUTOMATON.create_cache(),
        }
    }

    /// The first token at or behind `*position` and before `end`; `*position` moves behind it. Rules look beyond
    /// `end`. Characters that no rule knows are
    /// dropped, as the original does with its default option.
    pub(super) fn next<'t>(
        &mut self,
        text: &'t str,
        end: usize,
        position: &mut usize,
    ) -> Option<Token<'t>> {
        while *position < end {
            let input = Input::new(text).range(*position..).anchored(Anchored::Yes);
            // An automaton without quit bytes and without a limit on cache clearing can't fail.
            let found = self
                .dfa
                .try_search_fwd(&mut self.cache, &input)
                .expect("the search is infallible");
            let rest = &text[*position..];
            let Some(found) = found else {
                *position += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let rule = &RULES[found.pattern().as_usize()];
            let (token, step) = cut(&text[*position..found.offset()], rule.cut);
            *position += step;
            return Some(Token {
                text: token,
                write: rule.write,
            });
        }
        None
    }
}

/// Words of letters that are two tokens.
const DIVIDED: [&str; 6] = ["cannot", "gonna", "gotta", "gimme", "lemme", "wanna"];

/// What most tokens are, found without the automaton: ASCII letters and single marks before a blank or line end.
///
/// No rule that begins with letters goes on behind a blank without an inner mark, and no rule that begins with one
/// of these marks goes on with a blank, but for `. . .`. A test compares with the automaton.
pub(super) fn simple(text: &str, position: usize) -> Option<&str> {
    let rest = &text.as_bytes()[position..];
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let length = match rest.first()? {
        _ if letters > 0 => letters,
        b',' => 1,
        b'.' if rest.get(2) != Some(&b'.') => 1,
        _ => return None,
    };
    if !matches!(rest.get(length), Some(b' ' | b'\n')) {
        return None;
    }
    let token = &text[position..position + length];
    let divided =
        (5..=6).contains(&letters) && DIVIDED.iter().any(|d| d.eq_ignore_ascii_case(token));
    (!divided).then_some(token)
}

/// The token of a match, and how many bytes the scanner moves on; at least one.
fn cut(matched: &str, cut: Cut) -> (&str, usize) {
    let token = match cut {
        Cut::Whole => matched,
        Cut::Last(1) => matched
            .strip_suffix("\r\n")
            .unwrap_or_else(|| without_last(matched, 1)),
        Cut::Last(count) => without_last(matched, count),
        Cut::Auxiliary => {
            let letters = if matched.ends_with(['m', 's', 'd', 'M', 'S', 'D']) {
                1
            } else {
                2
            };
            without_apostrophe(without_last(matched, letters))
        }
        Cut::Not => without_last(without_apostrophe(without_last(matched, 1)), 1),
        Cut::Stop => &matched[..stop(matched)],
        Cut::StopTwice => {
            let end = matched.find(is_space_or_line_end).unwrap_or(matched.len());
            // `I.` is written `I`: its stop only ends the sentence.
            return (
                if end == 2 {
                    &matched[..1]
                } else {
                    &matched[..end]
                },
                end - 1,
            );
        }
    };
    (token, token.len())
}

fn without_last(text: &str, count: usize) -> &str {
    let mut rest = text.chars();
    for _ in 0..count {
        rest.next_back();
    }
    rest.as_str()
}

/// An apostrophe is one character or the entity `&apos;`.
fn without_apostrophe(text: &str) -> &str {
    without_last(
        text,
        if text.ends_with(';') {
            "&apos;".len()
        } else {
            1
        },
    )
}

/// White space as the rules' `SPACENL` has it.
fn is_space_or_line_end(c: char) -> bool {
    c.is_whitespace()
}

/// Where an abbreviation's full stop ends: the first, but the second of `Ph.D.` and `Ed.D.`
fn stop(matched: &str) -> usize {
    let first = matched.find('.').map_or(matched.len(), |i| i + 1);
    let degree = ["ed.d.", "ph.d."]
        .iter()
        .any(|d| matched.get(..5).is_some_and(|m| m.eq_ignore_ascii_case(d)));
    if degree { 5 } else { first }
}

/// The pattern with every definition written out and every quoted word in any case.
fn expand(pattern: &str) -> String {
    let mut text = pattern.to_owned();
    for (name, definition) in DEFINITIONS.iter().rev() {
        text = text.replace(&format!("{{{name}}}"), &format!("(?:{definition})"));
    }
    text.split('"')
        .enumerate()
        .map(|(i, part)| {
            if i % 2 == 1 {
                any_case(part)
            } else {
                part.to_owned()
            }
        })
        .collect()
}

/// Each letter as the set of its forms.
fn any_case(word: &str) -> String {
    let forms = |c: char| match c {
        'i' => "[iI\u{130}\u{131}]".into(),
        'k' => "[kK\u{212A}]".into(),
        's' => "[sS\u{17F}]".into(),
        'a'..='z' => format!("[{c}{}]", c.to_ascii_uppercase()),
        _ => c.to_string(),
    };
    word.chars().map(forms).collect()
}

fn automaton() -> DFA {
    let patterns: Vec<String> = RULES.iter().map(|rule| expand(rule.pattern)).collect();
    // `All` keeps going after a match, so that the last one seen is the longest.
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(CACHE_BYTES);
    DFA::builder()
        .configure(config)
        .build_many(&patterns)
        .expect("the rules are valid patterns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_stand_for_every_form_of_their_letters() {
        // As the original's `%caseless` does: dotted and dotless i, long s, the Kelvin sign.
        let forms = "[rR][iI\u{130}\u{131}][sS\u{17F}][kK\u{212A}]-x";
        assert_eq!(expand("\"risk-\"x"), forms);
    }

    #[test]
    fn shortcuts_are_taken_where_nothing_else_can_match() {
        for (text, token) in [
            ("plain dog", Some("plain")), // as long as a divided word
            ("a,", None),
            (", a", Some(",")),
            (". a", Some(".")),
            (". . .", None), // one token
            ("Gotta go", None),
            ("cannot", None),
            ("cannot ", None),
        ] {
            assert_eq!(simple(text, 0), token, "{text:?}");
        }
    }

    #[test]
    fn no_token_begins_behind_the_end() {
        // The picture is no token, and the next character belongs to the next caption.
        let mut position = 0;
        assert_eq!(Scanner::new().next("😀b", 4, &mut position), None);
        assert_eq!(position, 4);
    }
}
