//! Many of the same thing, as a person wants to read of them: a number, or the first of a long list.

use std::fmt::Display;

/// Lines of one kind that are shown.
const SHOWN: usize = 10;

/// One line each, but of every kind only the first ten and how many more there are.
pub(crate) fn shortened<T: Display, K: PartialEq>(
    all: &[T],
    kind: impl Fn(&T) -> K,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // Each kind with how many there are, and where its last line is.
    let mut kinds: Vec<(K, usize)> = Vec::new();
    for item in all {
        let key = kind(item);
        let at = kinds.iter().position(|(known, _)| *known == key);
        let at = at.unwrap_or_else(|| {
            kinds.push((key, 0));
            kinds.len() - 1
        });
        kinds[at].1 += 1;
        if kinds[at].1 <= SHOWN {
            lines.push(item.to_string());
        }
    }
    let hidden: usize = kinds.iter().map(|(_, n)| n.saturating_sub(SHOWN)).sum();
    if 0 < hidden {
        lines.push(format!(
            "... and {hidden} more of the same kinds; --json lists all"
        ));
    }
    lines
}

/// `1 picture`, `2 pictures`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_of_a_kind_are_shown() {
        let few: Vec<usize> = (0..11).collect();
        let lines = shortened(&few, |n| n % 2);
        assert_eq!(lines.len(), 11, "six and five: {lines:?}");
        let many: Vec<usize> = (0..1000).collect();
        let lines = shortened(&many, |n| *n == 999);
        let mut wanted: Vec<String> = (0..10).chain([999]).map(|n: usize| n.to_string()).collect();
        wanted.push("... and 989 more of the same kinds; --json lists all".into());
        assert_eq!(lines, wanted);
    }
}
