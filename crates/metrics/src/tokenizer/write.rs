//! How a token is written in Penn Treebank style.
//!
//! Here: quotes, brackets, dashes, ellipses, currency, fractions and soft hyphens as Stanford CoreNLP 3.4.1
//! writes them by default. Not here: where tokens begin and end (`rules.rs`, `scanner.rs`).

/// What is done to a token's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Nothing.
    Plain,
    /// Not written at all: spaces and invisible characters.
    Skip,
    /// The end of a line.
    Line,
    /// Always this text.
    Fixed(&'static str),
    /// Soft hyphens removed; a token of nothing else becomes `-`.
    SoftHyphen,
    /// `&amp;` becomes `&`, soft hyphens are removed.
    Amp,
    /// Blanks become no-break spaces, so that the token stays one word.
    Spaces,
    /// As `Spaces`, and round brackets as `Parens`.
    Phone,
    /// Round brackets become `-LRB-` and `-RRB-`.
    Parens,
    /// Quotes in LaTeX form; an undirected one closes.
    Quote,
    /// Quotes in LaTeX form; an undirected one opens.
    OpeningQuote,
    /// Three or four hyphens and every longer dash become `--`.
    Dash,
    /// `...`
    Ellipsis,
    /// `¢` is `cents`, `£` is `#`, other currencies are `$`, but some stay.
    Currency,
    /// `½` is `1/2`.
    Fraction,
}

/// Appends the token as it is written.
pub(super) fn write(token: &str, how: Write, out: &mut String) {
    match how {
        Write::Plain => out.push_str(token),
        Write::Skip => {}
        Write::Line => out.push('\n'),
        Write::Fixed(text) => out.push_str(text),
        Write::SoftHyphen => soft_hyphens(token, out),
        Write::Amp => ampersand(token, out),
        Write::Spaces => out.extend(token.chars().map(no_break)),
        Write::Phone => parens(token, out, true),
        Write::Parens => parens(token, out, false),
        Write::Quote => quotes(token, false, out),
        Write::OpeningQuote => quotes(token, true, out),
        Write::Dash => dash(token, out),
        Write::Ellipsis => out.push_str("..."),
        Write::Currency => currency(token, out),
        Write::Fraction => fraction(token, out),
    }
}

const SOFT_HYPHEN: char = '\u{AD}';

fn soft_hyphens(token: &str, out: &mut String) {
    let before = out.len();
    out.extend(token.chars().filter(|&c| c != SOFT_HYPHEN));
    if out.len() == before {
        out.push('-');
    }
}

fn ampersand(token: &str, out: &mut String) {
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        out.push(c);
        let entity = rest
            .get(..AMP.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(AMP));
        rest = &rest[if entity { AMP.len() } else { c.len_utf8() }..];
    }
}

const AMP: &str = "&amp;";

fn no_break(c: char) -> char {
    if c == ' ' { '\u{A0}' } else { c }
}

fn parens(token: &str, out: &mut String, keep_together: bool) {
    for c in token.chars() {
        match c {
            '(' => out.push_str("-LRB-"),
            ')' => out.push_str("-RRB-"),
            c => out.push(if keep_together { no_break(c) } else { c }),
        }
    }
}

fn quotes(token: &str, opening: bool, out: &mut String) {
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        let (single, double) = (entity(rest, "&apos;"), entity(rest, "&quot;"));
        if single || double {
            rest = &rest["&apos;".len()..]
        } else {
            rest = &rest[c.len_utf8()..]
        }
        match c {
            _ if single || c == '\'' => out.push(if opening { '`' } else { '\'' }),
            _ if double || c == '"' => out.push_str(if opening { "``" } else { "''" }),
            '\u{91}' | '\u{2018}' | '\u{201B}' | '\u{2039}' => out.push('`'),
            '\u{92}' | '\u{2019}' | '\u{203A}' => out.push('\''),
            '\u{93}' | '\u{201C}' | '\u{AB}' => out.push_str("``"),
            '\u{94}' | '\u{201D}' | '\u{BB}' => out.push_str("''"),
            c => out.push(c),
        }
    }
}

fn entity(text: &str, entity: &str) -> bool {
    text.starts_with(entity)
}

fn dash(token: &str, out: &mut String) {
    let hyphens = token.bytes().all(|b| b == b'-');
    out.push_str(if hyphens && !(3..=4).contains(&token.len()) {
        token
    } else {
        "--"
    });
}

fn currency(token: &str, out: &mut String) {
    out.push_str(match token {
        "\u{A2}" => "cents",
        "\u{A3}" => "#",
        "\u{80}" | "\u{A4}" | "\u{20A0}" | "\u{20AC}" => "$",
        other => other,
    });
}

fn fraction(token: &str, out: &mut String) {
    out.push_str(match token {
        "\u{BC}" => "1/4",
        "\u{BD}" => "1/2",
        "\u{BE}" => "3/4",
        "\u{2153}" => "1/3",
        "\u{2154}" => "2/3",
        other => other,
    });
}
