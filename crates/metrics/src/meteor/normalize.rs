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

/// Whether a caption consists of lower-case ASCII letters, digits and blanks: it stays as it is.
pub(super) fn is_plain(caption: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIXES: &str =
        "#comment\n\nMr\nSt\nNo #NUMERIC_ONLY#\nArt #NUMERIC_ONLY#\npp #NUMERIC_ONLY#\n";

    fn normalized(caption: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(caption, &Prefixes::parse(PREFIXES), |word| {
            words.push(word.to_owned())
        });
        words
    }

    /// What METEOR 1.5's `Normalizer.normalizeLine(line.trim(), LANG_EN, true).toLowerCase()` gives, split by Java's
    /// `StringTokenizer` and joined by blanks.
    const GOLDEN: &[(&str, &str)] = &[
        ("A dog runs.", "a dog runs ."),
        ("Mr. Smith waits. The end.", "mr. smith waits . the end ."),
        ("St. James, etc. and so on", "st. james , etc. and so on"),
        ("No. 7 is here", "no. 7 is here"),
        ("No. seven", "no. seven"),
        ("No. Seven", "no . seven"),
        ("pp. 7 and pp. x", "pp. 7 and pp. x"),
        ("U.S. and U.S.A. today", "us and usa today"),
        ("i.e. this", "ie this"),
        ("a 3.5. run", "a 3.5. run"),
        ("3.5.", "3.5 ."),
        ("wait... what", "wait ... what"),
        ("wait.. what", "wait .. what"),
        ("....a", ".... a"),
        ("DOTMULTI", "."),
        ("aDOTDOTMULTIb", "a..b"),
        ("DOTMULTI.x", ".. x"),
        ("DOTMULTI..", ". .."),
        ("xDOTMULTI.DOTMULTI.y", "x.. ..y"),
        ("MULTI DOT", "multi dot"),
        ("3,000 men, two", "3,000 men , two"),
        ("a,b,c", "a , b,c"),
        ("a,,b", "a , ,b"),
        ("3,a,4", "3 , a , 4"),
        (",a", ", a"),
        ("dog's", "dog 's"),
        ("dogs' toys", "dogs ' toys"),
        ("the 1980's", "the 1980 's"),
        ("1980's's", "1980 's 's"),
        ("rock'n'roll", "rock 'n'roll"),
        ("'tis", "' tis"),
        ("x'1", "x ' 1"),
        ("1'x", "1'x"),
        ("1's", "1 's"),
        ("''quoted''", "\" quoted \""),
        ("'''", "\" '"),
        ("`single` ‘curly’", "' single ' ' curly '"),
        ("“double”", "\" double \""),
        ("a'b'c", "a 'b'c"),
        ("t-shirt", "t shirt"),
        ("a-b-c-d", "a b-c d"),
        ("black-and-white", "black and white"),
        ("-a", "-a"),
        ("a--b", "a b"),
        ("a---b", "a--b"),
        ("– dash —", "- dash —"),
        ("a.-b", "a. b"),
        ("3-4", "3 4"),
        ("café naïve ÀÉ", "café naïve àé"),
        ("İstanbul", "i\u{307}stanbul"),
        ("ДОМ дом", "дом дом"),
        ("ΑΣ", "α σ"),
        ("東京", "東 京"),
        ("a😀b", "a 😀 b"),
        ("a\u{a0}b\u{3000}c\u{2009}d", "a b c d"),
        ("a\u{200b}b", "a \u{200b} b"),
        ("a\u{b}b", "a\u{b}b"),
        ("a\u{c}b\u{9}c", "a b c"),
        ("\u{1}a\u{1}", "a"),
        ("a_b", "a _ b"),
        ("$5 & 50%", "$ 5 & 50 %"),
        ("(x) [y] {z}", "( x ) [ y ] { z }"),
        ("a/b\\c", "a / b \\ c"),
        ("x.", "x ."),
        ("x. y", "x. y"),
        ("x. Y", "x . y"),
        ("x. 7", "x . 7"),
        ("Art. 3", "art. 3"),
        ("Art. x", "art. x"),
        (".", "."),
        ("..", ".."),
        ("x.y.", "xy"),
        ("7.y.", "7y"),
        ("1.2. z", "1.2. z"),
        ("e.g.", "eg"),
        ("a.'", "a . '"),
        ("'.", "' ."),
        ("ŸŽ", "ÿž"),
        ("\u{a640}\u{a66f}", "\u{a641} \u{a66f}"),
        ("\u{1d00}\u{1d80}", "\u{1d00} \u{1d80}"),
        ("a.b", "a.b"),
        ("1.-2", "1 . 2"),
        (",'", ", '"),
        ("'s", "' s"),
    ];

    #[test]
    fn words_are_those_of_the_original_normaliser() {
        for (caption, words) in GOLDEN {
            assert_eq!(normalized(caption).join(" "), *words, "{caption:?}");
        }
    }

    #[test]
    fn line_ends_are_blanks() {
        assert_eq!(normalized("a\nb\r\nC."), ["a", "b", "c", "."]);
    }

    #[test]
    fn long_runs_of_dots_take_no_time() {
        let dots = ".".repeat(100_000);
        assert_eq!(normalized(&format!("a{dots}b")), ["a", &dots, "b"]);
    }

    proptest! {
        #[test]
        fn plain_captions_need_no_rules(caption in "[a-z0-9 ]{0,40}") {
            let prefixes = Prefixes::parse(PREFIXES);
            let slow = normalize(&caption, &prefixes);
            prop_assert_eq!(normalized(&caption), words(&slow).collect::<Vec<_>>());
        }

        #[test]
        fn any_text_has_words(caption in "\\PC{0,40}|[ .,'`a-cDOTMULI\u{0}-\u{20}-]{0,40}") {
            for word in normalized(&caption) {
                prop_assert!(!word.is_empty() && !word.contains(' '));
            }
        }

        /// The direct way gives what METEOR's rounds give; a mark of its own keeps the rounds going.
        #[test]
        fn dots_come_back(line in "[a .]{0,30}") {
            let line = format!("{line} ");
            let mut rounds = String::new();
            let mut rest = line.as_str();
            while let Some(at) = rest.find("..") {
                let run = rest[at..].bytes().take_while(|&b| b == b'.').count();
                rounds.push_str(&rest[..at]);
                rounds.push_str(" DOTMULTI");
                rounds.push_str(&".".repeat(run - 1));
                rest = &rest[at + run..];
            }
            rounds.push_str(rest);
            let rounds = protect_literal_dots(rounds);
            let direct = protect_dots(&line);
            prop_assert_eq!(words(&direct).collect::<Vec<_>>(), words(&rounds).collect::<Vec<_>>());
            let (dots, back) = (line.matches('.').count(), restore_dots(&direct));
            prop_assert_eq!(back.matches('.').count(), dots);
        }
    }
}
