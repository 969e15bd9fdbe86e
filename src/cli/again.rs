//! `hcddl replay RUN_DIR` with `--order`, `--clock` or `--from`: the run once more, but not quite the same.

use super::replay::{ClockArg, OrderArg, ReplayArgs, parse_event};
use super::{Ending, ScenarioArgs, interrupt, output, session, sim};
use hcddl_core::node::Reason;
use hcddl_deploy::replay::again::{Again, Keep, again};
use hcddl_deploy::replay::{Logs, ReplayError};
use hcddl_plan::measure::outcome::{Observer, RunnerKind, Silent, SimOptions};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::repeat::Repeat;
use hcddl_sim::record::rundir::file;
use hcddl_sim::record::{Recorder, RecorderOptions, RunDir};

pub(super) fn execute(
    args: &ReplayArgs,
    scenario: &ScenarioArgs,
    registry: &Registry,
) -> anyhow::Result<Ending> {
    let written = args.dir.join(file::PLAN);
    let session = session::load(&written, scenario, registry)?;
    let other = ScenarioArgs { sets: args.sets.clone(), ..scenario.clone() };
    let changed = (!args.sets.is_empty()).then(|| session::load(&written, &other, registry)).transpose()?;
    let plan = &session.plan;
    let until = args.from.as_deref().map(|text| parse_event("--from", text, plan)).transpose()?;
    let order = args.order.unwrap_or(OrderArg::Kept) == OrderArg::Kept;
    let clock = args.clock.unwrap_or(if order { ClockArg::Modelled } else { ClockArg::Recorded });
    let keep = Keep { order, durations: clock == ClockArg::Recorded, until };
    let logs = Logs::read(&args.dir, plan)?;
    let learner = session.learner()?;
    let options = SimOptions {
        threads: usize::from(args.threads),
        runner: RunnerKind::Direct,
        ..SimOptions::default()
    };
    let flag = interrupt::flag();
    let new_plan = changed.as_ref().map(|changed| &changed.plan);
    let run = |observer: &mut dyn Observer| -> Result<Again, ReplayError> {
        again(plan, new_plan, registry, &learner, &logs, &keep, &options, observer, &flag)
    };
    let done = match &args.out {
        None => run(&mut Silent)?,
        Some(out) => {
            let dir = RunDir::create(Some(out), &plan.name)?;
            dir.write(file::PLAN, &changed.as_ref().unwrap_or(&session).effective()?)?;
            let mut recorder = Recorder::create(&dir, plan, RecorderOptions::default())?;
            let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let seeds = [plan.seeds.data, plan.seeds.init, plan.seeds.interleaving];
            let mut repeat = Repeat::new(command, dir.path(), seeds);
            let done = run(&mut recorder)?;
            for warning in sim::finish(&dir, recorder, &mut repeat, learner.as_ref(), &done.result)? {
                output::note("warning", &warning);
            }
            output::note("run directory", &dir.path().display().to_string());
            done
        }
    };
    say(plan, &keep, &done, logs.end().seconds());
    output::result(&hcddl_report::terminal::table(&done.result.summary))?;
    Ok(match done.result.summary.reason {
        Reason::Interrupted => Ending::Interrupted,
        Reason::Stalled(_) | Reason::Failed(_) => Ending::Failed,
        Reason::Rounds | Reason::Target | Reason::TimeLimit => Ending::Done,
    })
}

fn say(plan: &Plan, keep: &Keep, done: &Again, real: f64) {
    let kept = &done.kept;
    if keep.order {
        let until = keep.until.map_or(String::new(), |until| {
            format!(", until input {} of {}", until.inputs, plan.nodes[until.node.index()].name)
        });
        let text = format!(
            "{} inputs in the order of the run{until}; {} commits have its digests",
            kept.inputs, kept.commits
        );
        output::note("order", &text);
    }
    let virtual_time = done.result.summary.virtual_time_s;
    let text = if keep.durations {
        "jobs and messages took as long as in the run"
    } else {
        "jobs and messages took as long as modelled"
    };
    output::note("clock", &format!("{text}: {virtual_time:.3} s; the run took {real:.3} s"));
}
