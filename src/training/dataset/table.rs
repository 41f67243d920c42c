//! Csv files with named columns, read with messages that say the file, the line and the column.

use std::collections::HashMap;
use std::path::Path;

use super::DatasetError;

/// A csv file in memory.
pub(super) struct Table {
    /// Name of the file, for messages.
    name: String,
    columns: HashMap<String, usize>,
    records: Vec<(u64, csv::StringRecord)>,
}

/// One line of it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    table: &'a Table,
    line: u64,
    record: &'a csv::StringRecord,
}

impl Table {
    /// Reads a file that must have these columns; further ones are kept too.
    pub(super) fn read(path: &Path, required: &[&str]) -> Result<Self, DatasetError> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let refuse = |what: String| DatasetError::Refused(format!("{}: {what}", path.display()));
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|e| refuse(format!("it could not be read ({e})")))?;
        let header = reader.headers().map_err(|e| refuse(format!("its first line could not be read ({e})")))?;
        // A mark of byte order belongs to no name.
        let columns: HashMap<String, usize> =
            header.iter().enumerate().map(|(i, c)| (c.trim_start_matches('\u{feff}').to_owned(), i)).collect();
        let missing: Vec<&str> = required.iter().copied().filter(|c| !columns.contains_key(*c)).collect();
        if !missing.is_empty() {
            let there: Vec<&str> = header.iter().take(12).collect();
            return Err(refuse(format!(
                "the column(s) {} are missing; its first line says {}",
                missing.join(", "),
                there.join(", ")
            )));
        }
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| refuse(format!("a line could not be read ({e}); mend or remove it")))?;
            records.push((record.position().map_or(0, csv::Position::line), record));
        }
        Ok(Self { name, columns, records })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(line, record)| Row { table: self, line: *line, record })
    }
}

impl<'a> Row<'a> {
    /// Empty where the column is missing.
    pub(super) fn text(&self, column: &str) -> &'a str {
        self.table.columns.get(column).and_then(|i| self.record.get(*i)).unwrap_or_default()
    }
    /// Where the row stands, for messages.
    pub(super) fn place(&self) -> String {
        format!("{} line {}", self.table.name, self.line)
    }
    fn wrong(&self, column: &str, wanted: &str) -> String {
        format!("{}: {column} is \"{}\" where {wanted} was expected", self.place(), self.text(column))
    }
    /// A finite number.
    pub(super) fn number(&self, column: &str) -> Result<f64, String> {
        let value = self.text(column).parse::<f64>().ok().filter(|v| v.is_finite());
        value.ok_or_else(|| self.wrong(column, "a number"))
    }
    /// A number, or nothing.
    pub(super) fn number_or_none(&self, column: &str) -> Result<Option<f64>, String> {
        if self.text(column).is_empty() { Ok(None) } else { self.number(column).map(Some) }
    }
    /// A count; some tools write it as 12.0.
    pub(super) fn count(&self, column: &str) -> Result<usize, String> {
        let value = self.number(column).ok().filter(|v| v.fract() == 0.0 && (0.0..1e9).contains(v));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
        value.map(|v| v as usize).ok_or_else(|| self.wrong(column, "a whole number"))
    }
    /// 0 or 1.
    pub(super) fn flag(&self, column: &str) -> Result<bool, String> {
        match self.text(column) {
            "0" | "0.0" => Ok(false),
            "1" | "1.0" => Ok(true),
            _ => Err(self.wrong(column, "0 or 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, required: &[&str]) -> Result<Table, DatasetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("train.csv");
        std::fs::write(&path, text).expect("written");
        Table::read(&path, required)
    }

    #[test]
    fn missing_columns_are_named() {
        let text = table("a,b\n1,2\n", &["a", "c", "d"]).err().expect("refused").to_string();
        assert!(text.contains("train.csv") && text.contains("c, d") && text.contains("a, b"), "{text}");
        assert!(table("\u{feff}a,b\n1,2\n", &["a"]).is_ok());
        assert!(table("a,b\n1\n", &["a"]).is_err(), "a short line");
    }

    #[test]
    fn values_are_checked_and_the_line_is_named() {
        let table = table("n,f\n1.5,1\nNaN,2\n,0\n3.0,\n", &["n", "f"]).expect("a table");
        let rows: Vec<Row> = table.rows().collect();
        assert_eq!((rows[0].number("n"), rows[0].flag("f")), (Ok(1.5), Ok(true)));
        let text = rows[1].number("n").expect_err("no number");
        assert!(text.contains("train.csv line 3") && text.contains("NaN"), "{text}");
        assert!(rows[1].flag("f").is_err() && rows[0].count("n").is_err());
        assert_eq!((rows[2].number_or_none("n"), rows[3].count("n")), (Ok(None), Ok(3)));
    }
}
