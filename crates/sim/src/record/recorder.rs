//! The observer that writes a run directory.

use super::table::{CommitsFile, MetricsFile};
use super::timeline::{SPANS_MAX, Timeline, TimelineState};
use super::{RecordError, RunDir, rundir::file};
use crate::record::pace::Pace;
use hcddl_files::bytes;
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, Summary, TimelineSpan};
use hcddl_plan::plan::Plan;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much of a run is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// Whether timeline.json is written.
    pub timeline: bool,
    /// Spans in timeline.json at most.
    pub spans_max: u64,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { timeline: true, spans_max: SPANS_MAX }
    }
}

/// Where the growing files of a run stand. A checkpoint stores it; [`Recorder::resume`] goes back to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecorderPosition {
    metrics_rows: u64,
    metrics_columns: usize,
    commits_bytes: u64,
    timeline: Option<TimelineState>,
}

/// Writes metrics.csv, commits.csv and timeline.json while the run goes on, and summary.json at its end.
///
/// An observer cannot fail, so the first error of the disk is kept, nothing more is written, and
/// [`Recorder::finish`] and [`Recorder::position`] return it.
#[derive(Debug)]
pub struct Recorder {
    dir: RunDir,
    metrics: MetricsFile,
    commits: CommitsFile,
    timeline: Option<Timeline>,
    error: Option<RecordError>,
    pace: Pace,
}

/// What a crash of the program may cost at most.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

impl Recorder {
    /// As [`Recorder::resume`], with the position as [`Observer::position`] gave it.
    ///
    /// # Errors
    /// [`RecordError`] when the bytes are not a position, or as [`Recorder::resume`].
    pub fn resume_at(
        dir: &RunDir,
        plan: &Plan,
        options: RecorderOptions,
        stored: &[u8],
    ) -> Result<Self, RecordError> {
        let position = bytes::from_bytes(stored, stored.len() as u64).map_err(|_| RecordError::Resume {
            dir: dir.path().to_owned(),
            problem:
                "its checkpoint does not say where the files stood; start the run again without --resume"
                    .to_owned(),
        })?;
        Self::resume(dir, plan, options, position)
    }

    /// Opens all outputs in a new directory.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn create(dir: &RunDir, plan: &Plan, options: RecorderOptions) -> Result<Self, RecordError> {
        Ok(Self {
            metrics: MetricsFile::create(dir.join(file::METRICS), plan)?,
            commits: CommitsFile::create(dir.join(file::COMMITS), plan)?,
            timeline: options
                .timeline
                .then(|| Timeline::create(dir.join(file::TIMELINE), plan, options.spans_max))
                .transpose()?,
            dir: dir.clone(),
            error: None,
            pace: Pace::new(FLUSH_EVERY),
        })
    }

    /// Cuts the outputs of an interrupted run back to a checkpoint and goes on from there. Whether there is
    /// a timeline is decided by the first run.
    ///
    /// # Errors
    /// [`RecordError`] when a file is missing, shorter than the checkpoint says, or was changed.
    pub fn resume(
        dir: &RunDir,
        plan: &Plan,
        options: RecorderOptions,
        position: RecorderPosition,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            metrics: MetricsFile::resume(
                dir.join(file::METRICS),
                position.metrics_rows,
                position.metrics_columns,
            )?,
            commits: CommitsFile::resume(dir.join(file::COMMITS), plan, position.commits_bytes)?,
            timeline: position
                .timeline
                .map(|state| Timeline::resume(dir.join(file::TIMELINE), plan, options.spans_max, state))
                .transpose()?,
            dir: dir.clone(),
            error: None,
            pace: Pace::new(FLUSH_EVERY),
        })
    }

    /// Where the files stand; everything before has been handed to the operating system.
    ///
    /// # Errors
    /// The first error since the start.
    pub fn position(&mut self) -> Result<RecorderPosition, RecordError> {
        self.take_error()?;
        self.flush()?;
        Ok(RecorderPosition {
            metrics_rows: self.metrics.rows(),
            metrics_columns: self.metrics.columns(),
            commits_bytes: self.commits.bytes(),
            timeline: self.timeline.as_mut().map(Timeline::state).transpose()?,
        })
    }

    /// Writes summary.json and closes the timeline. Returns what the user should know, each a sentence.
    ///
    /// # Errors
    /// The first error since the start.
    pub fn finish(mut self, summary: &Summary) -> Result<Vec<String>, RecordError> {
        let cut = self.close_files()?;
        self.dir.write(file::SUMMARY, &hcddl_files::json(summary))?;
        Ok(cut.into_iter().collect())
    }

    /// Closes the timeline and the tables, without a summary.
    ///
    /// # Errors
    /// The first error since the start.
    pub fn close(&mut self) -> Result<(), RecordError> {
        self.close_files().map(|_| ())
    }

    /// Returns what the user should know of the timeline.
    fn close_files(&mut self) -> Result<Option<String>, RecordError> {
        self.take_error()?;
        self.flush()?;
        Ok(self.timeline.as_mut().map(Timeline::finish).transpose()?.flatten())
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        self.commits.flush()?;
        self.timeline.as_mut().map_or(Ok(()), Timeline::flush)
    }

    fn take_error(&mut self) -> Result<(), RecordError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Does one step of writing, unless an earlier one failed.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<(), RecordError>) {
        if self.error.is_none() {
            self.error = step(self).err();
        }
    }
}

impl Observer for Recorder {
    fn commit(&mut self, row: &CommitRow) {
        self.attempt(|recorder| recorder.commits.push(row));
    }

    fn evaluation(&mut self, row: &EvaluationRow) {
        self.attempt(|recorder| recorder.metrics.push(row));
    }

    fn span(&mut self, span: &TimelineSpan) {
        self.attempt(|recorder| recorder.timeline.as_mut().map_or(Ok(()), |timeline| timeline.push(span)));
    }

    fn progress(&mut self, _: &Progress) {
        if self.pace.due() {
            self.attempt(Self::flush);
        }
    }

    fn position(&mut self) -> Vec<u8> {
        let stored = Recorder::position(self)
            .map(|position| bytes::to_bytes(&position).expect("plain numbers and names"));
        stored.unwrap_or_else(|error| {
            self.error = Some(error);
            Vec::new()
        })
    }

    fn wants_spans(&self) -> bool {
        self.timeline.as_ref().is_some_and(Timeline::wants_more)
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
