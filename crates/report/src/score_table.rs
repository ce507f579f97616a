//! A table of scores as text: names on the left, numbers aligned on the right.
//!
//! Not here: which scores there are (`metrics`), where the text goes (`cli`).

/// Named scores in one or more columns.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTable {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl ScoreTable {
    /// An empty table with the given column titles; a single empty title gives no title line.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a line: one value for each column, `-` where there is none.
    ///
    /// # Panics
    /// If there are more or fewer values than columns.
    pub fn row(&mut self, name: &str, values: &[Option<f64>], decimals: usize) -> &mut Self {
        assert_eq!(
            values.len(),
            self.columns.len(),
            "one value for each column of `{name}`"
        );
        let number = |value: &Option<f64>| match value {
            None => "-".to_string(),
            Some(value) => format!("{value:.decimals$}"),
        };
        let cells = std::iter::once(name.to_string()).chain(values.iter().map(number));
        self.rows.push(cells.collect());
        self
    }

    /// The table, every line ended by a newline, without blanks at the ends of lines.
    pub fn render(&self) -> String {
        let titles: Vec<&str> = std::iter::once("")
            .chain(self.columns.iter().map(String::as_str))
            .collect();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells
                .chain([titles[column].chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        let mut text = String::new();
        let mut line = |cells: &[&str]| {
            let mut line = format!("{:<1$}", cells[0], widths[0]);
            for (cell, width) in cells.iter().zip(&widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        if self.columns.iter().any(|title| !title.is_empty()) {
            line(&titles);
        }
        for row in &self.rows {
            line(&row.iter().map(String::as_str).collect::<Vec<_>>());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_below_their_titles() {
        let mut table = ScoreTable::new(["beam 1", "beam 20"]);
        table.row("BLEU-1", &[Some(57.23), Some(59.0)], 1);
        table.row("perplexity", &[Some(15.698), None], 2);
        assert_eq!(
            table.render(),
            "            beam 1  beam 20\n\
             BLEU-1        57.2     59.0\n\
             perplexity   15.70        -\n"
        );
    }

    #[test]
    fn one_untitled_column_has_no_title_line() {
        let mut table = ScoreTable::new([""]);
        table
            .row("gültig", &[Some(f64::NAN)], 3)
            .row("b", &[Some(-1000.0)], 0);
        assert_eq!(table.render(), "gültig    NaN\nb       -1000\n");
        assert_eq!(ScoreTable::new([""]).render(), "");
        let mut table = ScoreTable::new(["a", ""]);
        table.row("b", &[Some(1.0), Some(2.0)], 0);
        assert_eq!(table.render(), "   a\nb  1  2\n");
    }

    #[test]
    #[should_panic(expected = "one value for each column of `x`")]
    fn a_row_of_another_length_is_a_broken_promise() {
        ScoreTable::new(["a", "b"]).row("x", &[None], 1);
    }
}
