//! Numbers behind figures and tables, as CSV and Parquet.

use super::read::csv::Csv;

/// Values of a column; `None` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Any numbers.
    Float(Vec<Option<f64>>),
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// Words.
    Text(Vec<Option<String>>),
}

/// A named table with typed columns of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Name of its files.
    pub name: String,
    /// Name and values of each column.
    pub columns: Vec<(String, Values)>,
}

impl Sheet {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), columns: Vec::new() }
    }

    /// With a column of numbers; those that are not finite are left out.
    #[must_use]
    pub fn float(mut self, name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().map(|value| value.is_finite().then_some(value)).collect();
        self.columns.push((name.to_owned(), Values::Float(values)));
        self
    }

    /// With a column of words.
    #[must_use]
    pub fn text(mut self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        self.columns.push((name.to_owned(), Values::Text(values.into_iter().map(Some).collect())));
        self
    }

    /// The columns of a CSV file, each of the narrowest type that holds its fields.
    #[must_use]
    pub fn of_csv(name: &str, csv: &Csv) -> Self {
        let columns = (0..csv.header.len()).map(|column| {
            let fields: Vec<Option<&str>> = csv
                .rows
                .iter()
                .map(|row| Some(row[column].as_str()).filter(|field| !field.is_empty()))
                .collect();
            (csv.header[column].clone(), typed(&fields))
        });
        Self { name: name.to_owned(), columns: columns.collect() }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// As CSV.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut text = names.join(",") + "\n";
        for row in 0..self.rows() {
            let fields: Vec<String> = self.columns.iter().map(|(_, values)| values.field(row)).collect();
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
    }
}

impl Values {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn field(&self, row: usize) -> String {
        match self {
            Self::Float(values) => values[row].map_or(String::new(), |value| value.to_string()),
            Self::Whole(values) => values[row].map_or(String::new(), |value| value.to_string()),
            Self::Text(values) => values[row].as_deref().map_or(String::new(), quoted),
        }
    }
}

fn typed(fields: &[Option<&str>]) -> Values {
    let all = |parses: fn(&str) -> bool| fields.iter().flatten().all(|field| parses(field));
    if all(|field| field.parse::<i64>().is_ok()) {
        Values::Whole(fields.iter().map(|field| field.and_then(|text| text.parse().ok())).collect())
    } else if all(|field| field.parse::<f64>().is_ok()) {
        Values::Float(fields.iter().map(|field| field.and_then(|text| text.parse().ok())).collect())
    } else {
        Values::Text(fields.iter().map(|field| field.map(str::to_owned)).collect())
    }
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_as_csv() {
        let sheet = Sheet::new("x")
            .text("setting", ["latency 1ms, sync".to_owned(), "a \"b\"".to_owned()])
            .float("median_s", [1.5, f64::INFINITY]);
        assert_eq!(sheet.to_csv(), "setting,median_s\n\"latency 1ms, sync\",1.5\n\"a \"\"b\"\"\",\n");
    }

    #[test]
    fn columns_of_a_file_have_the_narrowest_type() {
        assert_eq!(typed(&[Some("1"), None]), Values::Whole(vec![Some(1), None]));
        assert_eq!(typed(&[Some("1"), Some("0.5")]), Values::Float(vec![Some(1.0), Some(0.5)]));
        assert_eq!(
            typed(&[Some("1"), Some("1;2")]),
            Values::Text(vec![Some("1".into()), Some("1;2".into())])
        );
    }
}
