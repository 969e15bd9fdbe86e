//! `hcddl data check [NAME]`

use super::{Ending, at_hand, found, megabytes, unknown};
use crate::cli::output;
use crate::fetch::verify;
use clap::Args;
use hcddl_core::domain::Choice;
use hcddl_learn::data::{DataContext, DataSet, source};
use hcddl_learn::model::{Input, Output};
use hcddl_learn::split::data_set;
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::load::data_dir;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The data set, with options if wanted, as in `mnist` or `{name: mnist, pool: true}`; all that are here when
    /// left out
    name: Option<String>,
    /// Where data files are [default: $HCDDL_DATA, else the cache of `hcddl data fetch`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn execute(args: &CheckArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let directory = args.data_dir.clone().or_else(data_dir);
    let table = &registry.learn.data;
    let chosen: Vec<Choice> = match &args.name {
        Some(text) => vec![choice(text)?],
        None => {
            let here = |name: &&str| match (source(name), &directory) {
                (Some(source), Some(directory)) => at_hand(directory, &source),
                (Some(_), None) => false,
                (None, _) => (table.get(name).map(|row| row.build))
                    .is_ok_and(|build| build(&Choice::named(name), &DataContext::default()).is_ok()),
            };
            table.names().into_iter().filter(here).map(Choice::named).collect()
        }
    };
    let (mut text, mut ending) = (String::new(), Ending::Done);
    for choice in &chosen {
        if table.get(&choice.name).is_err() {
            return Err(unknown(&choice.name, &table.names()).into());
        }
        if !files(&choice.name, directory.as_deref(), &mut text) {
            ending = Ending::Failed;
        }
        let context = DataContext { data_dir: directory.clone(), seed: 1 };
        match data_set(choice, &context, &registry.learn) {
            Ok((data, _)) => {
                let _ = writeln!(text, "{}: {}", choice.name, about(&data));
            }
            Err(error) => {
                let _ = writeln!(text, "{}: {error}", choice.name);
                ending = Ending::Failed;
            }
        }
    }
    output::result(&text)?;
    Ok(ending)
}

/// What is written as in a scenario.
fn choice(text: &str) -> anyhow::Result<Choice> {
    let (_, value) = hcddl_plan::scenario::Source::read("data", &format!("data: {text}"))?;
    Choice::from_value(&value["data"]).map_err(|error| super::Usage(error.to_string()).into())
}

/// Verifies the files that are there; false when one is wrong. A missing one is told by the reader.
fn files(name: &str, directory: Option<&Path>, text: &mut String) -> bool {
    let (Some(source), Some(directory)) = (source(name), directory) else { return true };
    let mut right = true;
    for file in source.files {
        let Some(path) = found(directory, file) else { continue };
        // An unpacked file has the length and the hash that are listed for its `.gz`.
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let plain = hcddl_learn::data::File { path: "", ..*file };
        let listed = if file.is_gzip() && !packed { &plain } else { file };
        let size = path.metadata().map_or(0, |metadata| metadata.len());
        let _ = match verify(&path, listed) {
            Ok(()) if file.sha256.is_some() => {
                writeln!(text, "  whole    {} ({})", file.path, megabytes(size))
            }
            Ok(()) => {
                writeln!(text, "  unknown  {} ({}): no hash to compare with", file.path, megabytes(size))
            }
            Err(error) => {
                right = false;
                writeln!(text, "  WRONG    {error}; `hcddl data fetch {name}` fetches it again")
            }
        };
    }
    right
}

/// Counts and shapes in a line.
fn about(data: &DataSet) -> String {
    let count = |len: usize| format!("{len} samples");
    let mut text = format!("{} to train on", count(data.train.len()));
    if let Some(validation) = &data.validation {
        let _ = write!(text, ", {} to validate on", validation.len());
    }
    let _ = write!(text, ", {} to test on; ", data.test.len());
    if data.shape.sequence {
        let _ = write!(text, "sequences of {:.1} steps on average, each ", data.train.mean_steps());
    }
    let _ = match data.shape.input {
        Input::Values { channels: 1, height: 1, width } => write!(text, "{width} numbers"),
        Input::Values { channels, height, width } => write!(text, "{channels} x {height} x {width} pixels"),
        Input::Token { vocabulary } => write!(text, "one of {vocabulary} tokens"),
    };
    let _ = match data.shape.output {
        Output::Classes(classes) => write!(text, "; {classes} classes"),
        Output::Tags(tags) => write!(text, "; one of {tags} tags for each step"),
        Output::Probabilities(count) => write!(text, "; {count} probabilities"),
        Output::Numbers(count) => write!(text, "; {count} numbers to predict"),
    };
    if let Some(owners) = data.train.owners() {
        let _ = write!(text, "; from {} owners", owners.names.len());
    }
    text
}
