//! `hcddl report RUN_OR_STUDY...`

use super::{Ending, ScenarioArgs, Usage, output, session};
use clap::Args;
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::source::Source as YamlSource;
use hcddl_report::carbon::Carbon;
use hcddl_report::compose::Subject;
use hcddl_report::page::{Report, files};
use hcddl_report::read::Source;
use hcddl_report::validity::{self, Calibrated};
use hcddl_sim::record::rundir::file;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Directories of runs and studies
    #[arg(value_name = "RUN_OR_STUDY", required = true)]
    dirs: Vec<PathBuf>,
    /// Where report.html, figures/ and data/ are written [default: `report` in the first directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// CO2 of the energy: world, india, china, germany, france, norway, or grams per kWh
    #[arg(long, value_name = "REGION|G_PER_KWH", default_value = "world")]
    carbon: String,
    /// Readings of a power meter during a deployed run, a CSV file: a column of times, since 1970 or the run's begin
    /// (`time_s`, `unix_ms`), one of powers (`power_w`, `power_mw`), and maybe `host`
    #[arg(long, value_name = "FILE")]
    meter: Option<PathBuf>,
}

pub fn execute(args: &ReportArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let carbon = Carbon::parse(&args.carbon).map_err(|error| Usage(format!("--carbon {error}")))?;
    let mut subjects = Vec::new();
    for dir in &args.dirs {
        let mut source = Source::read(dir)?;
        if let Some(meter) = &args.meter {
            match (&mut source, args.dirs.len()) {
                (Source::Run(run), 1) if run.deployed => run.take_meter(meter)?,
                _ => {
                    let text = "--meter FILE belongs to one deployed run: name its directory alone";
                    return Err(Usage(text.to_owned()).into());
                }
            }
        }
        let validity = card(&source, dir, registry);
        subjects.push(Subject { source, validity });
    }
    let report = Report::about(&subjects, &carbon)?;
    let out = args.out.clone().unwrap_or_else(|| args.dirs[0].join("report"));
    let written = files::write(&report, &out)?;
    let (figures, sheets) = (written.figures, written.sheets);
    output::note("written", &format!("{figures} figures and {sheets} tables of numbers beside the page"));
    output::result(&format!("{}\n", written.page.display()))?;
    Ok(Ending::Done)
}

/// The validity card; without the scenario it says just that.
fn card(source: &Source, dir: &Path, registry: &Registry) -> Vec<(String, String)> {
    let file = match source {
        Source::Run(run) if run.deployed => return validity::deployed(),
        Source::Run(_) => dir.join(file::PLAN),
        Source::Study(_) => dir.join("scenario.yml"),
    };
    match session::load(&file, &ScenarioArgs::default(), registry) {
        Ok(session) => {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let written = YamlSource::read(&file.display().to_string(), &text).map(|(_, value)| value);
            let mut card = validity::card(&session.plan, Calibrated::of(&written.unwrap_or_default()));
            if matches!(source, Source::Study(_)) {
                let text = "the study's base; its axes change what they name";
                card.insert(0, ("scenario".to_owned(), text.to_owned()));
            }
            card
        }
        Err(error) => vec![("unknown".to_owned(), format!("the scenario cannot be read here: {error}"))],
    }
}
