//! `hcddl data fetch NAME`

use super::{Ending, Usage, megabytes, source_of};
use crate::cli::output;
use crate::fetch::{Fetch, Fetched};
use clap::Args;
use hcddl_learn::data::File;
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::load::fetch_dir;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The data set
    name: String,
    /// Where to put the files [default: $HCDDL_DATA, else $XDG_CACHE_HOME/hcddl or ~/.cache/hcddl]
    #[arg(long, value_name = "DIR", alias = "data-dir")]
    to: Option<PathBuf>,
    /// Fetch from this mirror, which has the layout of a data directory, instead
    #[arg(long, value_name = "URL")]
    url_base: Option<String>,
}

pub fn execute(args: &FetchArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let source = source_of(&args.name, registry)?;
    if source.files.is_empty() {
        return Err(Usage(format!("`{}` has no files to download: {}", args.name, source.note)).into());
    }
    let Some(to) = args.to.clone().or_else(fetch_dir) else {
        return Err(
            Usage("there is no home directory to keep data in: say where with --to".to_owned()).into()
        );
    };
    output::note("licence", source.licence);
    let fetch = Fetch { to, base: args.url_base.clone(), patience: Duration::from_secs(1) };
    for file in source.files {
        if !file.tried && fetch.base.is_none() {
            output::note("note", &format!("{} was never tried: it may have changed", file.url));
        }
        output::result(&one(&fetch, file)?)?;
    }
    output::result(&format!("in {}; next: hcddl data check {}\n", fetch.to.display(), args.name))?;
    Ok(Ending::Done)
}

fn one(fetch: &Fetch, file: &File) -> anyhow::Result<String> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let template = "{msg} [{bar:24}] {bytes} of {total_bytes}, {bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> "));
    bar.set_message(file.path);
    let result = fetch.file(file, &mut |done, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(match result? {
        Fetched::Before => format!("here already  {}\n", file.path),
        Fetched::Now { bytes, unpacked, checked } => {
            let unpacked = if unpacked > 0 { format!(", {unpacked} files unpacked") } else { String::new() };
            let checked = if checked { "" } else { ", no hash to compare with" };
            format!("fetched       {} ({}{unpacked}{checked})\n", file.path, megabytes(bytes))
        }
    })
}
