//! Recorded values over time.

use super::Course;
use crate::domain::{OptionError, Span};
use std::sync::Arc;

/// A value for each moment: that of the last record, before the first one the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<V> {
    /// Moments since the start, ascending, and the value from then on.
    records: Arc<[(Span, V)]>,
    /// Whether it begins again where its last record is, whose value is that of the first one then.
    repeat: bool,
    /// So much of it has passed at the start.
    passed: Span,
}

impl<V: Copy> Recorded<V> {
    /// These records.
    ///
    /// # Errors
    /// No records, times that do not grow, one record that shall repeat.
    pub fn new(records: Vec<(Span, V)>, repeat: bool) -> Result<Self, OptionError> {
        if records.is_empty() {
            let message = "a trace without records";
            return Err(OptionError::new("", message, "`csv`, or `records` here"));
        }
        if let Some(i) = records.windows(2).position(|pair| pair[1].0 <= pair[0].0) {
            let message = format!("record {} is not later than the one before it", i + 1);
            return Err(OptionError::new("records", message, "times that grow"));
        }
        if repeat && records.len() < 2 {
            return Err(OptionError::new("repeat", "one record cannot be repeated", "2 or more records"));
        }
        Ok(Self { records: records.into(), repeat, passed: Span::ZERO })
    }

    /// The same, of which so much has passed at the start.
    #[must_use]
    pub fn from_within(&self, passed: Span) -> Self {
        Self { records: Arc::clone(&self.records), repeat: self.repeat, passed }
    }

    /// Every value, in order of time.
    pub fn values(&self) -> impl Iterator<Item = V> + '_ {
        self.records.iter().map(|(_, value)| *value)
    }

    /// How long it takes until it begins again; nothing if it does not.
    #[must_use]
    pub fn period(&self) -> Option<Span> {
        let (first, last) = (self.records.first()?, self.records.last()?);
        self.repeat.then(|| Span(last.0.0 - first.0.0))
    }

    /// The value so long after the start.
    #[must_use]
    pub fn at(&self, since: Span) -> V {
        let (first, since) = (self.records[0].0, since + self.passed);
        let since = match self.period() {
            Some(period) if since >= first => Span(first.0 + (since.0 - first.0) % period.0),
            _ => since,
        };
        let after = self.records.partition_point(|(at, _)| *at <= since);
        self.records[after.saturating_sub(1)].1
    }
}

impl<V: Copy + Send + Sync + 'static> Recorded<V> {
    /// Its changes.
    #[must_use]
    pub fn course(&self) -> Course<V> {
        let records = Arc::clone(&self.records);
        let (first, value) = records[0];
        let start = (first > Span::ZERO).then_some((Span::ZERO, value));
        let Some(period) = self.period() else {
            let each = (0..records.len()).map(move |i| records[i]);
            return later(Box::new(start.into_iter().chain(each)), self.passed);
        };
        let count = records.len() - 1;
        let mut index = 0;
        let each = std::iter::from_fn(move || {
            let (at, value) = records[index % count];
            let begun = period.0.checked_mul((index / count) as u64)?;
            index += 1;
            Some((Span(at.0.checked_add(begun)?), value))
        });
        later(Box::new(start.into_iter().chain(each)), self.passed)
    }
}

/// The course from `passed` on, as if it began there.
fn later<V: Copy + Send + 'static>(mut course: Course<V>, passed: Span) -> Course<V> {
    if passed == Span::ZERO {
        return course;
    }
    let (mut first, mut next) = (None, None);
    for (at, value) in course.by_ref() {
        if at > passed {
            next = Some((at, value));
            break;
        }
        first = Some((Span::ZERO, value));
    }
    let rest = next.into_iter().chain(course).map(move |(at, value)| (Span(at.0 - passed.0), value));
    Box::new(first.into_iter().chain(rest))
}
