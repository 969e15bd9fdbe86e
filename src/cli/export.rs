//! `hcddl export RUN --format tensorboard|jsonl|parquet`

use super::{Ending, Usage, output};
use anyhow::Context;
use clap::{Args, ValueEnum};
use hcddl_report::export::{jsonl, parquet, tensorboard};
use hcddl_report::read::csv::Csv;
use hcddl_report::read::{Run, Source};
use hcddl_report::sheet::Sheet;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Directory of a run (Parquet: or of a study)
    #[arg(value_name = "RUN")]
    dir: PathBuf,
    /// For which program
    #[arg(long, value_enum)]
    format: Format,
    /// Directory for the files [default: the run's own]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An event file, for `tensorboard --logdir DIR`
    Tensorboard,
    /// run.jsonl: one object in each line
    Jsonl,
    /// A Parquet file for each CSV file
    Parquet,
}

pub fn execute(args: &ExportArgs) -> anyhow::Result<Ending> {
    let source = Source::read(&args.dir)?;
    let out = args.out.as_deref().unwrap_or(&args.dir);
    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    let files = match (args.format, &source) {
        (Format::Parquet, _) => tables(&args.dir)?,
        (Format::Tensorboard, Source::Run(run)) => events(run)?,
        (Format::Jsonl, Source::Run(run)) => vec![("run.jsonl".to_owned(), jsonl::lines(run)?.into_bytes())],
        (_, Source::Study(_)) => {
            let text =
                "a study has no single curve: export one of its runs, or the study with --format parquet";
            return Err(Usage(text.to_owned()).into());
        }
    };
    for (name, bytes) in files {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        output::result(&format!("{}\n", path.display()))?;
    }
    Ok(Ending::Done)
}

fn events(run: &Run) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    Ok(vec![(tensorboard::FILE.to_owned(), tensorboard::file(&tensorboard::scalars(run)?))])
}

/// Every CSV file of a directory, in order of their names.
fn tables(dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read `{}`", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    let table = |path: PathBuf| {
        let name = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let sheet = Sheet::of_csv(&name, &Csv::read_if_there(&path)?);
        Ok((format!("{name}.parquet"), parquet::file(&sheet)))
    };
    paths.into_iter().map(table).collect()
}
