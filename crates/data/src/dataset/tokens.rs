//! From a raw sentence to its words, for the forms of dataset that store no tokens.
//!
//! The rule: lower case; a hyphen, a dash and a slash become blanks; every other punctuation mark is left out, so that
//! "doesn't" becomes "doesnt"; what stands between blanks is a word. This is how the tokens of Karpathy's
//! Flickr8k, Flickr30k and MSCOCO files relate to their raw sentences, apart from a few marks. Letters of all scripts,
//! their combining marks and digits stay.
//!
//! Source: compared with the tokens of the real Flickr8k `dataset.json` (a test counts the differences).
//! Not here: the PTB tokenizer that scores use (`metrics`).

/// The words of `raw`.
pub fn tokenize(raw: &str) -> Vec<String> {
    let lower = raw.to_lowercase();
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in lower.chars() {
        if c.is_whitespace() || separates(c) {
            if !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
        } else if !is_punctuation(c) && !c.is_control() {
            word.push(c);
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Marks that stand between two words.
fn separates(c: char) -> bool {
    matches!(c, '-' | '/' | '\u{2010}'..='\u{2015}')
}

/// ASCII's marks and those of the blocks General Punctuation, CJK punctuation and full-width forms,
/// with the inverted marks and quotes of Latin-1.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c,
            '¡' | '¿' | '«' | '»' | '·' | '\u{2016}'..='\u{205E}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}'
            | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_by_example() {
        let cases: [(&str, &[&str]); 7] = [
            (
                "A man 's T-shirt , isn't (quite) red .",
                &["a", "man", "s", "t", "shirt", "isnt", "quite", "red"],
            ),
            ("", &[]),
            (" . , - ", &[]),
            ("Café in 東京、naïve", &["café", "in", "東京naïve"]),
            ("“Two”—dogs…", &["two", "dogs"]),
            ("black/white\tdog\n", &["black", "white", "dog"]),
            ("नमस्ते", &["नमस्ते"]), // combining marks are letters' parts
        ];
        for (raw, want) in cases {
            assert_eq!(tokenize(raw), want, "{raw:?}");
        }
    }
}
