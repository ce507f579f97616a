//! The Penn Treebank tokenizer's rules: which stretches of text are one token.
//!
//! Here: the rules as a table, in order of precedence. Not here: what they are made of (`definitions.rs`), the scanner that applies them
//! (`scanner.rs`) and how a token is written (`write.rs`).
//!
//! They describe what `PTBTokenizer` of Stanford CoreNLP 3.4.1 does with its default options, the version and
//! options that coco-caption calls; written for this project and compared with that program.
//!
//! Notation: the regex crate's, with `{NAME}` for a definition and `"text"` for a word in any case. As in
//! that program, "any case" includes ſ for s, the Kelvin sign for k, and ı and İ for i, while `[a-z]` is literal.

use super::scanner::Cut::{self, Auxiliary, Last, Not, Stop, StopTwice, Whole};
use super::write::Write::{
    self, Amp, Currency, Dash, Ellipsis, Fixed, Fraction, Line, OpeningQuote, Parens, Phone,
};
use super::write::Write::{Plain, Quote, Skip, SoftHyphen, Spaces};

/// One line of the table: a match of `pattern` is a token, less what `cut` says, written as `write` says.
pub(super) struct Rule {
    pub(super) pattern: &'static str,
    pub(super) cut: Cut,
    pub(super) write: Write,
}

const fn rule(pattern: &'static str, cut: Cut, write: Write) -> Rule {
    Rule {
        pattern,
        cut,
        write,
    }
}

/// Rules, the earlier one first where two match the same stretch.
pub(super) const RULES: &[Rule] = &[
    rule(r#""c\+\+""#, Whole, Plain),
    rule(r##"(?:"c"|"f")#"##, Whole, Plain),
    rule(r"{SGML}", Whole, Spaces),
    rule(
        r#"&(?:"md"|"mdash"|"ndash");|[\u{96}\u{97}\u{2013}-\u{2015}]"#,
        Whole,
        Dash,
    ),
    rule(r#""&amp;""#, Whole, Amp),
    rule(
        r##"&(?:"ht"|"tl"|"ur"|"lr"|"qc"|"ql"|"qr"|"odq"|"cdq"|#[0-9]+);"##,
        Whole,
        Plain,
    ),
    rule(r#""cannot""#, Last(3), Plain),
    rule(r#""gonna"|"gotta"|"lemme"|"gimme"|"wanna""#, Last(2), Plain),
    rule(r"{WORD}{AUXILIARY}", Auxiliary, SoftHyphen),
    rule(
        r#"[A-Za-z\u{AD}]*[A-MO-Za-mo-z]\u{AD}*[nN]{APOSETC}[tT]"#,
        Not,
        SoftHyphen,
    ),
    rule(r"{WORD}", Whole, SoftHyphen),
    rule(
        r#"{APOS}"n"{APOS}?|[lLdDjJ]{APOS}|"dunkin"{APOS}|"somethin"{APOS}|"ol"{APOS}|{APOS}"em"|{APOS}"till"|{APOS}"til"|{APOS}"cause"|"cont'd"\.?|"nor'easter"|"c'mon"|"e'er"|"s'mores"|"ev'ry"|"li'l"|"nat'l"|"o"{APOSETC}"o"|{APOS}[2-9]0"s"|{APOSTROPHED}"#,
        Whole,
        Plain,
    ),
    rule(r#""y"{APOS}{ALPHA}"#, Last(1), Plain),
    rule(r"{URL}|{LIKELYURL}", Whole, Plain),
    rule(r"{EMAIL}", Whole, Plain),
    rule(r"@[a-zA-Z_][a-zA-Z_0-9]*|#{LETTER}+", Whole, Plain),
    rule(r"{DATE}", Whole, SoftHyphen),
    rule(r"[\-+]?{NUM}", Whole, SoftHyphen),
    rule(
        r"[\u{207A}\u{207B}\u{208A}\u{208B}]?(?:[\u{2070}\u{B9}\u{B2}\u{B3}\u{2074}-\u{2079}]+|[\u{2080}-\u{2089}]+)",
        Whole,
        Plain,
    ),
    rule(r"[\u{BC}-\u{BE}\u{2153}-\u{215E}]", Whole, Fraction),
    rule(
        r#"-(?:"rrb"|"lrb"|"rcb"|"lcb"|"rsb"|"lsb")-|"pro-"|"anti-"|"s"{AMP}"p-500"|"s"{AMP}"ls"|"cap"{APOS}"n"|"c"{APOS}"est""#,
        Whole,
        Amp,
    ),
    rule(r"{FRACTION}", Whole, Spaces),
    rule(r"{SLASHED}", Whole, Plain),
    rule(r"[A-Z]*\$|#", Whole, Plain),
    rule(
        r"[\u{A2}-\u{A5}\u{80}\u{20A0}\u{20A4}\u{20AC}\u{60B}\u{E3F}\u{FFE0}\u{FFE1}\u{FFE5}\u{FFE6}]",
        Whole,
        Currency,
    ),
    // Abbreviations, most context first.
    rule(r#"'"tis""#, Last(2), Plain),
    rule(r#"'"twas""#, Last(3), Plain),
    rule(r"{ABNUMBER}\.{SPACENL}?{DIGIT}", Stop, Plain),
    rule(r"{ABENDING}\.{SENTEND}", StopTwice, Plain),
    rule(
        r"{ABENDING}\.(?s:[\x00-\u{FFFF}].|[\u{10000}-\u{10FFFF}])",
        Stop,
        Plain,
    ),
    rule(r"{ABENDING}\.", StopTwice, Plain),
    rule(r"{ABTITLE}\.", Whole, Plain),
    rule(r"(?:{ABTITLE}|{ACRONYM}){SPACE}", Last(1), Plain),
    rule(r"{ACRONYM}{NEWLINE}", Last(1), Plain),
    rule(r"{ACRONYM}\.", Whole, Plain),
    rule(r"{ACRONYM}\.{SPACENL}+{STARTER}{SPACENL}", StopTwice, Plain),
    rule(
        r#"(?:"pt"[EYey]|"co")\.{SPACE}(?:"ltd"|"lim")"#,
        Stop,
        Plain,
    ),
    rule(r"{FILENAME}(?:{SPACENL}|[.?!,])", Last(1), Plain),
    rule(r"{WORD}\.{INSENTENCE}", Last(1), SoftHyphen),
    rule(r"{PHONE}", Whole, Phone),
    // Quotes, brackets, marks.
    rule(r"{DOUBLEQUOTE}[A-Za-z0-9$]", Last(1), OpeningQuote),
    rule(r"{DOUBLEQUOTE}", Whole, Quote),
    rule(r"\x7F", Whole, Skip),
    rule(r#"<|"&lt;""#, Whole, Fixed("<")),
    rule(r#">|"&gt;""#, Whole, Fixed(">")),
    rule(
        r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|\[\]][^A-Za-z0-9]",
        Last(1),
        Parens,
    ),
    rule(
        r"[\^x=~<>]\.\[\^[xX]=[^<]*<>\]|[\-\^x=~<>']_[\-\^x=~<>']|\([\-\^x=~<>'][_.]?[\-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)",
        Whole,
        Parens,
    ),
    rule(r"\{", Whole, Fixed("-LCB-")),
    rule(r"\}", Whole, Fixed("-RCB-")),
    rule(r"\[", Whole, Fixed("-LSB-")),
    rule(r"\]", Whole, Fixed("-RSB-")),
    rule(r"\(", Whole, Fixed("-LRB-")),
    rule(r"\)", Whole, Fixed("-RRB-")),
    rule(r"-+", Whole, Dash),
    rule(
        r"\.{3,5}|[\u{85}\u{2026}]|\.(?:[ \u{A0}]\.){2,4}",
        Whole,
        Ellipsis,
    ),
    rule(r"[?!]+", Whole, Plain),
    rule(r"\*+|(?:\\\*){1,3}", Whole, Plain),
    rule(r"{INSENTENCE}", Whole, Plain),
    rule(
        r"[.\u{A1}\u{BF}\u{37E}\u{589}\u{61F}\u{6D4}\u{700}-\u{702}\u{3002}]",
        Whole,
        Plain,
    ),
    rule(r"=|/", Whole, Plain),
    rule(r"{HYPHENATED}", Whole, SoftHyphen),
    rule(r"{HYPHENATED}\.{INSENTENCE}", Last(1), SoftHyphen),
    rule(r"{AMPERSANDED}", Whole, Amp),
    rule(r"{AMPERSANDED}\.{INSENTENCE}", Last(1), Amp),
    rule(r"{AUXILIARY}[^A-Za-z]", Last(1), Quote),
    rule(r"'[A-Za-z][^ \t\n\r\u{A0}]", Last(2), OpeningQuote),
    rule(r"{APOS}[0-9]{2}{SPACENL}", Last(1), Plain),
    rule(
        r"''|{APOS}|[`\u{91}-\u{94}\u{2018}-\u{201F}\u{AB}\u{BB}\u{2039}\u{203A}]{1,2}|{AUXILIARY}|[nN]{APOSETC}[tT]",
        Whole,
        Quote,
    ),
    rule(r"{THING}", Whole, Plain),
    rule(r"{THING}\.{INSENTENCE}", Last(1), Plain),
    rule(r"[nN]{APOSETC}[tT][^A-Za-z]", Last(1), Quote),
    rule(
        r"_+|#+|@+|<<|>>|[&+|\\^~]|[\u{207A}\u{207B}\u{208A}\u{208B}\u{2044}\u{24B6}-\u{24CF}]|{SYMBOL}",
        Whole,
        Plain,
    ),
    rule(
        r#"\x00|{SPACE}+|[\u{200B}\u{200E}\u{200F}\u{FEFF}]|"&nbsp;""#,
        Whole,
        Skip,
    ),
    rule(r"{NEWLINE}", Whole, Line),
];
