//! Columns of text.

/// Rows of cells; the first column is flush left, others flush right.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// Between columns.
const GAP: &str = "  ";

impl Table {
    pub fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// An empty line.
    pub fn add_gap(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Lines of equal column widths, each ended.
    pub fn to_text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned() {
        let mut table = Table::default();
        table.add(["name", "ms", "box"].map(String::from));
        table.add(["fib", "1.25", "÷"].map(String::from));
        table.add_gap();
        table.add(["mean".into()]);
        assert_eq!(table.to_text(), "name    ms  box\nfib   1.25    ÷\n\nmean\n");
    }

    #[test]
    fn nothing() {
        assert_eq!(Table::default().to_text(), "");
    }
}
