//! `hcddl compare A B`

use super::{Ending, Usage, output};
use clap::Args;
use hcddl_report::compare;
use hcddl_report::read::Source;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Directory of a run or a study
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Directory of another one of the same kind
    #[arg(value_name = "B")]
    b: PathBuf,
}

pub fn execute(args: &CompareArgs) -> anyhow::Result<Ending> {
    let text = match (Source::read(&args.a)?, Source::read(&args.b)?) {
        (Source::Run(a), Source::Run(b)) => compare::runs(&a, &b)?,
        (Source::Study(a), Source::Study(b)) => compare::studies(&a, &b)?,
        _ => {
            let text = "one is a run and the other a study; compare two runs or two studies";
            return Err(Usage(text.to_owned()).into());
        }
    };
    output::result(&text)?;
    Ok(Ending::Done)
}
